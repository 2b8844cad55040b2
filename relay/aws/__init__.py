"""Clients of the AWS services that the relay uses. No other package imports aiobotocore."""
