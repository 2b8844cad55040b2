"""The clocks of a deployment: timeouts and retention of the relay, nginx, sqsd and the queues.

They depend on each other, so all of them are here. Standard library only, because the
infrastructure code and the deployment files import this module too. How they add up in push mode,
in seconds, with the defaults:

    relay  hold                          780  a request stays open while the destination is down,
           + request timeout              30  then one attempt is made,
           + confirm deadline             60  and the event is read back, in confirm mode
           = the longest answer          870
    sqsd   InactivityTimeout             900  at least 30 more, a margin for the network
           VisibilityTimeout           1,080  at least 120 more: it starts at sqsd's receive, and a
                                              message may wait in the daemon before its POST
    nginx  proxy_read_timeout            960  above InactivityTimeout: sqsd hangs up, never nginx
    sqsd   ErrorVisibilityTimeout        300  from a 503 or a refused connection to the next try
    queue  x maxReceiveCount           1,000  receives before SQS itself dead-letters a message
           = the outage survived     300,000  3.5 days, in which no outage empties the queue
    queue  retention               1,123,200  13 days; at least VisibilityTimeout + hold, because
                                              SQS deletes a message also while sqsd hides it
    sqsd   RetentionPeriod         1,209,600  14 days, not below the queue's: sqsd deletes older
                                              messages without a dead letter
    DLQ    retention               1,209,600  14 days, above the queue's: a dead letter in a
                                              standard queue keeps the age of its message

On AWS Lambda nothing can be held: `LambdaClocks`, in seconds, with the defaults:

    function  request timeout             30  one attempt is made
              + confirm deadline          60  and read back, in confirm mode,
              + margin                    30  and dead letters, the answer and the log are written
              <= timeout                 180  AWS allows 900
    queue     VisibilityTimeout        1,080  six times the function's timeout, as AWS advises
              x maxReceiveCount        1,000  = 12.5 days, in which no outage empties the queue

A message that fails is visible again after 2, 4, 8 ... 1,024 s, from then on after 1,080 s: an
outage of six hours costs 29 receives, and 11.7 days cost 945.

A message held through an outage costs one receive in 780 + 300 s, 80 a day. A thousand receives
last longer than the 11.7 days (90 % of the queue's retention) after which the message is
dead-lettered as expiring.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DAY = 86_400.0

HOLD = 780.0
REQUEST_TIMEOUT = 30.0
CONFIRM_DEADLINE = 60.0
INACTIVITY_TIMEOUT = 900.0
VISIBILITY_TIMEOUT = 1_080.0
ERROR_VISIBILITY_TIMEOUT = 300.0
MAX_RECEIVE_COUNT = 1_000
NGINX_READ_TIMEOUT = 960.0
HTTP_CONNECTIONS = 50
SQSD_RETENTION = 14 * DAY
QUEUE_RETENTION = 13 * DAY
DLQ_RETENTION = 14 * DAY

LAMBDA_TIMEOUT = 180.0
LONGEST_LAMBDA_TIMEOUT = 900.0
"""AWS's own limit (Lambda quotas)."""

LAMBDA_VISIBILITY = 6
"""The queue's VisibilityTimeout is so many times the function's timeout, as AWS advises: Lambda
tries a batch again while the function is throttled (Lambda Developer Guide, SQS event sources)."""

LAMBDA_MARGIN = 30.0
"""Seconds of an invocation besides one attempt: for dead letters, the answer and the log."""

FIRST_BACKOFF = 2.0
"""Seconds for which Lambda's first failure hides a message. Each further one doubles them."""

STUCK_AFTER = 180.0
"""Seconds without success after which a relay counts as stuck: twice the longest single attempt, so
that what is slow for once does not count."""

KILLED_AFTER = 30.0
"""Seconds after SIGTERM after which Kubernetes and ECS kill a process, by default."""

LAST_RELEASES = 1.5
LAST_REQUESTS = 3.0
LAST_REPORT = 2.0
"""Seconds that a stop takes after the drain deadline while nothing answers: twice for releases (of
messages being handled, then of the rest), once for open requests and writes, and three times
for reports (an export of traces under way, the last export, and the last metrics)."""

LAST_STEPS = 2 * LAST_RELEASES + LAST_REQUESTS + 3 * LAST_REPORT
DRAIN_DEADLINE = KILLED_AFTER - 1 - LAST_STEPS

SHORTEST_HOLD = 120.0
"""With a shorter hold an expiring message could not be dead-lettered in time: it gets a minute for
an attempt first, and messages in flight are checked twice a minute."""

ANSWER_MARGIN = 30.0
PREFETCH_MARGIN = 120.0
OUTAGE = 72 * 3_600.0
"""How long the relay may be down or crash-looping before SQS itself dead-letters a message. Less if
the queue keeps messages for less."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that do not fit together: their fields, and a sentence with the fix."""

    fields: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks of one deployment, named as in `Settings`. Durations are seconds."""

    hold: float = HOLD
    request_timeout: float = REQUEST_TIMEOUT
    confirm_deadline: float = CONFIRM_DEADLINE
    stuck_after: float = STUCK_AFTER
    sqsd_inactivity_timeout: float = INACTIVITY_TIMEOUT
    sqsd_visibility_timeout: float = VISIBILITY_TIMEOUT
    sqsd_error_visibility_timeout: float = ERROR_VISIBILITY_TIMEOUT
    sqsd_retention: float = SQSD_RETENTION
    nginx_read_timeout: float = NGINX_READ_TIMEOUT
    max_receive_count: int = MAX_RECEIVE_COUNT
    queue_retention: float = QUEUE_RETENTION
    dlq_retention: float = DLQ_RETENTION

    @property
    def longest_answer(self) -> float:
        """Seconds from a POST to the latest answer that the relay can give it."""
        return self.hold + self.request_timeout + self.confirm_deadline

    @property
    def outcome_timeout(self) -> float:
        """Seconds that `serve` waits for an outcome: `hold`, but long enough for one attempt."""
        shortest = max(SHORTEST_HOLD, self.request_timeout + self.confirm_deadline)
        return max(self.hold, min(shortest, self.sqsd_inactivity_timeout - ANSWER_MARGIN))

    def problems(self) -> list[str]:
        """A sentence for each conflict, with the variables and the fix."""
        return [conflict.sentence for conflict in self.conflicts()]

    def conflicts(self) -> tuple[Conflict, ...]:
        """The conflicts as values, with their fields."""
        return (*_one_delivery(self), *_one_attempt(self), *_outage(self), *_retention(self))


def _one_delivery(c: Clocks) -> Iterator[Conflict]:
    if c.longest_answer > c.sqsd_inactivity_timeout - ANSWER_MARGIN:
        yield Conflict(
            ("hold", "request_timeout", "confirm_deadline", "sqsd_inactivity_timeout"),
            f"RELAY_HOLD + RELAY_REQUEST_TIMEOUT + RELAY_CONFIRM_DEADLINE is {c.longest_answer:g} s"
            ", so that sqsd would hang up before the answer: lower RELAY_HOLD to"
            f" {_longest_hold(c):g}, or raise InactivityTimeout and RELAY_SQSD_INACTIVITY_TIMEOUT"
            f" to {c.longest_answer + ANSWER_MARGIN:g}",
        )
    if c.sqsd_visibility_timeout < c.sqsd_inactivity_timeout + PREFETCH_MARGIN:
        yield Conflict(
            ("sqsd_visibility_timeout", "sqsd_inactivity_timeout"),
            f"RELAY_SQSD_VISIBILITY_TIMEOUT is {c.sqsd_visibility_timeout:g} s, so that a message"
            " could be received again while its request is still open: raise it, and sqsd's"
            " VisibilityTimeout,"
            f" to {c.sqsd_inactivity_timeout + PREFETCH_MARGIN:g}",
        )
    if c.nginx_read_timeout <= c.sqsd_inactivity_timeout:
        yield Conflict(
            ("nginx_read_timeout", "sqsd_inactivity_timeout"),
            f"RELAY_NGINX_READ_TIMEOUT is {c.nginx_read_timeout:g} s, so that nginx would cut off"
            " held requests: raise it, and nginx's proxy_read_timeout, above"
            f" RELAY_SQSD_INACTIVITY_TIMEOUT, to {c.sqsd_inactivity_timeout + 60:g}",
        )


def _one_attempt(c: Clocks) -> Iterator[Conflict]:
    attempt = c.request_timeout + c.confirm_deadline
    if c.stuck_after < attempt:
        yield Conflict(
            ("stuck_after", "request_timeout", "confirm_deadline"),
            f"RELAY_STUCK_AFTER is {c.stuck_after:g} s, less than a single attempt may take: raise"
            f" it to at least RELAY_REQUEST_TIMEOUT + RELAY_CONFIRM_DEADLINE, {attempt:g}",
        )


def _longest_hold(c: Clocks) -> float:
    others = c.request_timeout + c.confirm_deadline + ANSWER_MARGIN
    return max(0.0, c.sqsd_inactivity_timeout - others)


def _outage(c: Clocks) -> Iterator[Conflict]:
    survived = c.sqsd_error_visibility_timeout * c.max_receive_count
    if survived < min(OUTAGE, c.queue_retention):
        yield Conflict(
            ("sqsd_error_visibility_timeout", "max_receive_count"),
            "RELAY_SQSD_ERROR_VISIBILITY_TIMEOUT x RELAY_MAX_RECEIVE_COUNT is"
            f" {survived / 3_600:.3g} h, after which an outage empties the queue into the"
            " dead-letter queue: raise them, ErrorVisibilityTimeout and the redrive policy's"
            f" maxReceiveCount to at least 72 h, for instance {ERROR_VISIBILITY_TIMEOUT:g} s and"
            f" {MAX_RECEIVE_COUNT}",
        )


def _retention(c: Clocks) -> Iterator[Conflict]:
    hidden = c.sqsd_visibility_timeout + c.hold
    if hidden > c.queue_retention:
        yield Conflict(
            ("sqsd_visibility_timeout", "hold", "queue_retention"),
            f"RELAY_SQSD_VISIBILITY_TIMEOUT + RELAY_HOLD is {hidden:g} s, more than"
            f" RELAY_QUEUE_RETENTION, {c.queue_retention:g}, so that SQS could delete a message"
            " while sqsd hides it: lower them, and sqsd's VisibilityTimeout, or raise"
            f" RELAY_QUEUE_RETENTION and the queue's retention to at least {hidden:g} (`relay poll`"
            " reads the retention itself and needs no RELAY_QUEUE_RETENTION)",
        )
    if c.sqsd_retention < c.queue_retention:
        yield Conflict(
            ("sqsd_retention", "queue_retention"),
            f"RELAY_SQSD_RETENTION is {c.sqsd_retention:g} s, less than the queue's, and sqsd"
            " deletes older messages without a dead letter: raise it, and sqsd's RetentionPeriod,"
            f" to at least RELAY_QUEUE_RETENTION, {c.queue_retention:g}",
        )
    if c.dlq_retention <= c.queue_retention:
        yield Conflict(
            ("dlq_retention", "queue_retention"),
            f"RELAY_DLQ_RETENTION is {c.dlq_retention:g} s, and a dead letter keeps the age of"
            " its message, so that SQS could delete it at once: keep RELAY_QUEUE_RETENTION at least"
            " a day below it, and configure both queues accordingly",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaClocks:
    """The clocks of a relay on AWS Lambda, named as in `Settings`. Durations are seconds.

    `batching_window` is the event source's MaximumBatchingWindowInSeconds.
    """

    lambda_timeout: float = LAMBDA_TIMEOUT
    lambda_visibility_timeout: float = LAMBDA_VISIBILITY * LAMBDA_TIMEOUT
    batching_window: float = 0.0
    request_timeout: float = REQUEST_TIMEOUT
    confirm_deadline: float = CONFIRM_DEADLINE
    max_receive_count: int = MAX_RECEIVE_COUNT
    queue_retention: float = QUEUE_RETENTION

    def problems(self) -> list[str]:
        """A sentence for each conflict, with the variables and the fix."""
        return list(_lambda_problems(self))

    def receives(self, outage: float) -> int:
        """The most receives that an outage of so many seconds costs one message."""
        count, passed, hidden = 1, 0.0, FIRST_BACKOFF
        while hidden < self.lambda_visibility_timeout and passed + hidden <= outage:
            count, passed, hidden = count + 1, passed + hidden, hidden * 2
        if hidden < self.lambda_visibility_timeout:
            return count
        return count + int((outage - passed) / self.lambda_visibility_timeout)


def _lambda_problems(c: LambdaClocks) -> Iterator[str]:
    least = c.request_timeout + c.confirm_deadline + LAMBDA_MARGIN
    visibility = LAMBDA_VISIBILITY * c.lambda_timeout + c.batching_window
    if not least <= c.lambda_timeout <= LONGEST_LAMBDA_TIMEOUT:
        yield (
            f"RELAY_LAMBDA_TIMEOUT is {c.lambda_timeout:g} s, and one attempt may take"
            f" RELAY_REQUEST_TIMEOUT + RELAY_CONFIRM_DEADLINE + {LAMBDA_MARGIN:g}, {least:g} s: set"
            f" it, and the function's timeout, between that and AWS's limit,"
            f" {LONGEST_LAMBDA_TIMEOUT:g}, or lower the two"
        )
    if c.lambda_visibility_timeout < visibility:
        yield (
            f"RELAY_LAMBDA_VISIBILITY_TIMEOUT is {c.lambda_visibility_timeout:g} s, so that a"
            " message could be received again while its batch is still tried: raise it, and the"
            f" queue's VisibilityTimeout, to six times the function's timeout, {visibility:g}"
        )
    if c.receives(min(OUTAGE, c.queue_retention)) > c.max_receive_count:
        yield (
            f"RELAY_MAX_RECEIVE_COUNT is {c.max_receive_count}, so that an outage empties the queue"
            " into the dead-letter queue: raise it, and the redrive policy's maxReceiveCount, to"
            f" {MAX_RECEIVE_COUNT}"
        )
