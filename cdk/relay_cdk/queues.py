"""The main queue and its dead-letter queue, with the durations of `relay/settings/clocks.py`."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from relay.settings import clocks
from relay_cdk.encryption import sender
from relay_cdk.existing import Existing
from relay_cdk.options import BadOption, Options
from relay_cdk.storage import KEPT

MAX_MESSAGE_BYTES = 1_048_576
LONG_POLL = 20.0


class Queues(Construct):
    """The main queue and its dead-letter queue, both retained when the stack is deleted.

    Attributes:
        name: the main queue's name, as in metrics.
        dead_name: the dead-letter queue's.
    """

    main: sqs.IQueue
    dead: sqs.IQueue

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        key: kms.IKey | None,
        existing: Existing,
    ) -> None:
        super().__init__(scope, ident)
        if existing.queue and existing.dead_letter_queue:
            if existing.queue.fifo and options.worker == "elasticbeanstalk":
                raise BadOption(
                    "an existing FIFO queue does not go with a worker environment, whose daemon"
                    " keeps no order: set worker to fargate or lambda, or to none"
                )
            self.main, self.dead = existing.queue, existing.dead_letter_queue
            self.name, self.dead_name = self.main.queue_name, self.dead.queue_name
        else:
            self.dead = self._dead_letters(options, key)
            self.main = self._main(options, key, self.dead)
            # Literally, not by reference, so that alarms do not depend on the queues.
            self.name, self.dead_name = options.queue_name, options.dead_letter_queue_name
        for index, producer in enumerate(options.producers):
            self._allow_sending(index, producer)

    def _main(self, options: Options, key: kms.IKey | None, dead: sqs.IQueue) -> sqs.Queue:
        return self._queue(
            "Main",
            options.queue_name,
            options,
            key,
            # A batch may wait for its window while its messages are hidden.
            visibility=options.host.visibility + options.batch_window,
            retention_period=whole_seconds(clocks.QUEUE_RETENTION),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=dead, max_receive_count=clocks.MAX_RECEIVE_COUNT
            ),
        )

    def _dead_letters(self, options: Options, key: kms.IKey | None) -> sqs.Queue:
        return self._queue(
            "DeadLetters",
            options.dead_letter_queue_name,
            options,
            key,
            retention_period=whole_seconds(clocks.DLQ_RETENTION),
            # By its fixed name: the main queue's own ARN would make the references circular.
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                source_queues=[self._by_name(options.queue_name)],
            ),
        )

    def _queue(
        self,
        ident: str,
        name: str,
        options: Options,
        key: kms.IKey | None,
        *,
        retention_period: cdk.Duration,
        visibility: float = clocks.VISIBILITY_TIMEOUT,
        redrive_allow_policy: sqs.RedriveAllowPolicy | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        # For a standard queue, CloudFormation requires the FIFO properties to be absent, not false.
        fifo = options.fifo or None
        return sqs.Queue(
            self,
            ident,
            queue_name=name,
            retention_period=retention_period,
            dead_letter_queue=dead_letter_queue,
            redrive_allow_policy=redrive_allow_policy,
            visibility_timeout=whole_seconds(visibility),
            receive_message_wait_time=whole_seconds(LONG_POLL),
            max_message_size_bytes=MAX_MESSAGE_BYTES,
            encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            # A new data key every hour, not every five minutes, costs a twelfth in KMS requests.
            data_key_reuse=cdk.Duration.hours(1) if key else None,
            enforce_ssl=True,
            removal_policy=KEPT,
            fifo=fifo,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None,
        )

    def _by_name(self, name: str) -> sqs.IQueue:
        arn = cdk.Stack.of(self).format_arn(service="sqs", resource=name)
        return sqs.Queue.from_queue_arn(self, "MainByName", arn)

    def _allow_sending(self, index: int, producer: str) -> None:
        who, conditions = sender(producer)
        statement = iam.PolicyStatement(
            sid=f"Producer{index}",
            principals=[who],
            actions=["sqs:SendMessage"],
            resources=[self.main.queue_arn],
            conditions=conditions,
        )
        if not self.main.add_to_resource_policy(statement).statement_added:
            raise BadOption(
                "producers: an existing queue's policy is up to its owner; leave it out"
            )


def whole_seconds(value: float) -> cdk.Duration:
    """A duration in whole seconds, as CloudFormation requires."""
    return cdk.Duration.seconds(int(value))
