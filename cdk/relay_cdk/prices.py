"""List prices of AWS in us-east-1, in dollars, without free tiers, as of November 2026.

The documentation and the benchmark quote prices from here. Standard library only.
"""

from __future__ import annotations

MILLION = 1_000_000
GB = 1_000_000_000

HOURS = 730.0
"""Hours in a month."""

MONTH = HOURS * 3_600
"""Seconds in a month."""

# Amazon SQS. Each 64 KB of a request counts as one request.
SQS_REQUEST = 0.40 / MILLION
SQS_FIFO_REQUEST = 0.50 / MILLION

# Amazon EC2 and EBS. A public IPv4 address is billed while it is in use.
T3_SMALL_HOUR = 0.0208
GP3_GB_MONTH = 0.08
PUBLIC_ADDRESS_HOUR = 0.005

# AWS Fargate for Linux on x86, and on ARM. Memory is billed by the GB of 1,024 MiB.
FARGATE_CPU_HOUR = 0.04048
FARGATE_GB_HOUR = 0.004445
FARGATE_ARM_CPU_HOUR = 0.03238
FARGATE_ARM_GB_HOUR = 0.00356

# Data transfer to the internet, NAT gateways and interface endpoints.
INTERNET_GB = 0.09
NAT_HOUR = 0.045
NAT_GB = 0.045
ENDPOINT_HOUR = 0.01
ENDPOINT_GB = 0.01

# Application Load Balancers. The cost of a capacity unit is that of the dimension used most.
BALANCER_HOUR = 0.0225
BALANCER_UNIT_HOUR = 0.008

# Amazon DynamoDB, on demand. A unit is a write of up to 1 KB, or a consistent read of up to 4 KB;
# a read of an item that does not exist counts too.
DYNAMODB_WRITE = 0.625 / MILLION
DYNAMODB_READ = 0.125 / MILLION
DYNAMODB_GB_MONTH = 0.25
DYNAMODB_RECOVERY_GB_MONTH = 0.20
DYNAMODB_ITEM_OVERHEAD = 100
"""Bytes that DynamoDB adds to each item for the storage that it bills."""

# Amazon CloudWatch.
LOGS_GB = 0.50
LOGS_STORED_GB_MONTH = 0.03
METRIC = 0.30
METRIC_REQUEST = 0.01 / 1_000
ALARM_METRIC = 0.10
COMPOSITE_ALARM = 0.50
DASHBOARD = 3.00

# AWS Secrets Manager and AWS KMS.
SECRET = 0.40
SECRET_REQUEST = 0.05 / 10_000
KEY = 1.00
KEY_REQUEST = 0.03 / 10_000

# AWS Lambda on arm64, and Amazon EventBridge Pipes, for comparison. Pipes charges for each event of
# up to 64 KB, and its target for a call for each.
LAMBDA_REQUEST = 0.20 / MILLION
LAMBDA_GB_SECOND = 13.3334 / MILLION
PIPES_REQUEST = 0.40 / MILLION
API_DESTINATION_CALL = 0.20 / MILLION
