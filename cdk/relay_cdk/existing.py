"""Resources that exist already, or that other constructs create, for the relay to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from relay_cdk.network import Placement
from relay_cdk.options import BadOption, Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Resources to use; the relay creates those that are None. It changes none of these.

    Attributes:
        queue: the main queue. Its retention, redrive policy and queue policy are up to its owner;
            `relay doctor` says what does not fit. If its retention, that of its dead-letter queue
            or its maxReceiveCount is another than the stack's own queues have, name it in the
            option `settings`, as RELAY_QUEUE_RETENTION, RELAY_DLQ_RETENTION and
            RELAY_MAX_RECEIVE_COUNT: in push mode the relay does not read them from SQS.
        dead_letter_queue: required with `queue`.
        key: the customer key of the queues, and of everything that the relay creates.
        ledger: a table with the partition key `key` and the TTL attribute `expires`.
        log_group: of the audit log.
        event_key: the secret with the orchestrator's event key.
        signing_key: the secret with its signing key.
        topic: notified by the alarms. Its policy must let CloudWatch publish.
        vpc: of the instances, tasks or function, instead of the option `vpc`.
        subnets: by default the VPC's private subnets.
    """

    queue: sqs.IQueue | None = None
    dead_letter_queue: sqs.IQueue | None = None
    key: kms.IKey | None = None
    ledger: dynamodb.ITable | None = None
    log_group: logs.ILogGroup | None = None
    event_key: secretsmanager.ISecret | None = None
    signing_key: secretsmanager.ISecret | None = None
    topic: sns.ITopic | None = None
    vpc: ec2.IVpc | None = None
    subnets: Sequence[ec2.ISubnet] | None = None

    def __post_init__(self) -> None:
        """Raises `BadOption` for a combination that is impossible."""
        if (self.queue is None) != (self.dead_letter_queue is None):
            raise BadOption(
                "an existing queue needs its dead_letter_queue, and the other way round"
            )
        if self.queue and self.dead_letter_queue:
            if self.queue.fifo != self.dead_letter_queue.fifo:
                raise BadOption("queue and dead_letter_queue must be of one type, standard or FIFO")
            if self.queue.queue_arn == self.dead_letter_queue.queue_arn:
                raise BadOption("queue and dead_letter_queue must be two queues")
        if self.subnets and not self.vpc:
            raise BadOption("subnets needs vpc")

    def placement(self, options: Options) -> Placement | None:
        """The network to run in; None if neither these resources nor the options name one."""
        if self.vpc:
            chosen = self.subnets or self.vpc.select_subnets().subnets
            vpc, subnets = self.vpc.vpc_id, tuple(subnet.subnet_id for subnet in chosen)
        elif options.vpc:
            vpc, subnets = options.vpc, options.subnets
        else:
            return None
        return Placement(vpc=vpc, subnets=subnets, public_addresses=options.public_addresses)
