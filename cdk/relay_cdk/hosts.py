"""The hosts that can run the relay, and what differs between them in the rest of the stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from relay.settings import clocks

Worker = Literal["elasticbeanstalk", "fargate", "lambda", "none"]
"""The values of the option `worker`."""

Gateway = Literal["none", "fargate", "function-url"]
"""The values of the option `gateway`."""

POLL_VISIBILITY = 120.0
"""How long a poller that was killed keeps its messages from the others. It extends the timeout of
those that take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host.

    Attributes:
        visibility: the main queue's visibility timeout in seconds.
        log_group: the name of the log group, with `{name}` for that of the deployment.
        architecture: the processor unless the option says otherwise.
        always_runs: whether a relay runs also while there are no messages, and so reports.
        needs_agent: whether an agent on the same machine uploads the log with the relay's role.
        deployed: the first thing to check when no relay reports.
        running: the first thing to check when no message is delivered.
        capacity: the first thing to check when messages are delivered too slowly.
    """

    visibility: float
    log_group: str
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    always_runs: bool = True
    needs_agent: bool = False
    deployed: str
    running: str
    capacity: str


HOSTS: dict[Worker, Host] = {
    # sqsd sets its own visibility timeout at each receive; this one is for receives that set none.
    "elasticbeanstalk": Host(
        visibility=clocks.VISIBILITY_TIMEOUT,
        # The worker tier may write only below this prefix.
        log_group="/aws/elasticbeanstalk/{name}/audit",
        needs_agent=True,
        deployed="check the environment's health and its last deployment.",
        running="check whether sqsd runs: `eb logs`, aws-sqsd/default.log.",
        capacity="check whether the environment has its maximum of instances.",
    ),
    "fargate": Host(
        visibility=POLL_VISIBILITY,
        log_group="/relay/{name}",
        deployed="check the service's events and why its last task stopped.",
        running="check the log of a task: does it receive?",
        capacity="check whether the service has its maximum of tasks.",
    ),
    "lambda": Host(
        visibility=clocks.LAMBDA_VISIBILITY * clocks.LAMBDA_TIMEOUT,
        log_group="/relay/{name}",
        architecture="arm64",
        always_runs=False,
        deployed="check the function's errors.",
        running="check whether the event source mapping is enabled, and the function's errors.",
        capacity="check whether the function has reached its maximum concurrency.",
    ),
    "none": Host(
        visibility=POLL_VISIBILITY,
        log_group="/aws/elasticbeanstalk/{name}/audit",
        needs_agent=True,
        deployed="check whether `relay poll` runs, and its log.",
        running="check its log: does it receive?",
        capacity="check whether enough relays run.",
    ),
}

WORKERS: tuple[Worker, ...] = get_args(Worker)
