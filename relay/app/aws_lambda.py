"""The relay as an AWS Lambda function: `relay.app.aws_lambda.handler`.

settings -> telemetry -> core (see `relay.app.core`) -> `LambdaBatch`

One event loop and one core are kept for as long as the execution environment lives. The loop runs
only during an invocation, in the thread that Lambda calls: between two invocations the environment
is frozen, and whatever ran then would meet timeouts that are not real. A connection that was closed
meanwhile is too old to be used again (`keep_alive`), or found to be stale at once (`http.client`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relay.app.core import Core, open_core
from relay.app.telemetry import Telemetry, start_telemetry
from relay.aws.references import same_queue
from relay.aws.session import SharedSession
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import Failed
from relay.http.proxy_variables import agree_on_proxies, go_direct, invalid_proxies
from relay.process import new_event_loop, tune_garbage_collector
from relay.settings.loading import Loaded, load
from relay.settings.model import Settings
from relay.sources.lambda_batch import LAST_WRITES, Changes, LambdaBatch
from relay.sources.lambda_event import Batch, InvocationFailed, read_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

_log = logging.getLogger(__name__)


class Context(Protocol):
    """What Lambda passes to a function besides the event, as far as it is used here."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


@dataclass(frozen=True, slots=True)
class _Relay:
    batches: LambdaBatch
    core: Core
    telemetry: Telemetry
    queue: str

    async def run(self, batch: Batch, context: Context) -> PartialItemFailureResponse:
        """Handle a batch. Everything is written before Lambda freezes the process."""
        try:
            seconds = context.get_remaining_time_in_millis() / 1_000
            return await self.batches.run(batch, seconds)
        finally:
            writes = (self.core.dead_letters, self.core.ledger)
            await asyncio.gather(*(one.drain(LAST_WRITES) for one in writes))
            await self.telemetry.flush()


class Function:
    """The function. An invocation that raises leaves the whole batch in the queue.

    Args:
        load_settings: reads the settings at the first invocation.
    """

    def __init__(self, load_settings: Callable[[], Loaded] = load) -> None:
        self._load = load_settings
        self._stack = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._relay: _Relay | None = None

    def __call__(self, event: object, context: Context) -> PartialItemFailureResponse:
        """Handle one event of the queue. The response names the messages that failed.

        Raises:
            InvocationFailed: with the code `not_an_sqs_event`, `another_queue` or
                `invalid_settings`, or `unavailable` if nothing can be delivered at present.
        """
        batch = read_event(event)
        if self._loop is None:
            self._loop = new_event_loop()
        return self._loop.run_until_complete(self._invoke(batch, context))

    def close(self) -> None:
        """Close every connection. Lambda never calls this; tests do."""
        if self._loop is not None:
            self._loop.run_until_complete(self._stack.aclose())
            self._loop.close()
        self._loop = self._relay = None

    async def _invoke(self, batch: Batch, context: Context) -> PartialItemFailureResponse:
        if self._relay is None:
            self._relay = await self._start(batch)
            tune_garbage_collector()
        if not same_queue(self._relay.queue, batch.queue_arn):
            raise InvocationFailed(
                "another_queue",
                f"the event is one of {batch.queue_arn} and this relay belongs to"
                f" {self._relay.queue}: give each queue a function of its own, and set"
                " RELAY_QUEUE_URL to its queue",
            )
        return await self._relay.run(batch, context)

    async def _start(self, batch: Batch) -> _Relay:
        settings = _checked(self._load(), batch)
        async with AsyncExitStack() as starting:
            _remove_log_handlers()
            telemetry = await starting.enter_async_context(start_telemetry(settings, timer=False))
            core = await starting.enter_async_context(open_core(settings, telemetry, hold=False))
            batches = _batches(settings, core, SharedSession(starting), starting)
            self._stack = starting.pop_all()
        _log.info("started for %s", batch.queue_arn)
        return _Relay(batches, core, telemetry, settings.queue_url or "")


def _checked(loaded: Loaded, batch: Batch) -> Settings:
    """The settings for this queue.

    Raises:
        InvocationFailed: one is invalid or missing. Every message stays in the queue.
    """
    settings = loaded.settings
    if settings.proxy == "off":
        go_direct()
    else:
        agree_on_proxies()
    proxies = () if settings.proxy == "off" else map(str, invalid_proxies())
    problems = [*loaded.problems, *proxies, *settings.lambda_clocks.problems()]
    if problems:
        raise InvocationFailed("invalid_settings", "; ".join(problems))
    found: dict[str, object] = {}
    if settings.queue_url is None:
        found["queue_url"] = batch.queue_arn
    if settings.metrics == "auto":
        # Each line of standard output is a log event here, so CloudWatch finds the metrics in it.
        found["metrics"] = "emf"
    return settings.model_copy(update=found)


def _batches(
    settings: Settings, core: Core, session: SharedSession, stack: AsyncExitStack
) -> LambdaBatch:
    queues: dict[str, Queue] = {}

    async def hide(arn: str, changes: Changes) -> Sequence[Failed | None]:
        if arn not in queues:
            opening = open_queue(await session(), settings.queue_url or arn)
            queues[arn] = await stack.enter_async_context(opening)
        return await queues[arn].change_visibility(changes)

    return LambdaBatch(
        core.handler.handle,
        hide,
        visibility=settings.lambda_visibility_timeout,
        longest_hide=core.handler.retention.longest_hide,
        unavailable=lambda: _unavailable(core),
        stop_on_reject=settings.fifo_stop_on_reject,
    )


def _unavailable(core: Core) -> str | None:
    """Why nothing can be delivered at present, with the setting to check."""
    if core.forwarder.down:
        forwarding = core.forwarder.state
        reason, setting = forwarding.reason, forwarding.setting
    elif (handling := core.handler.status).problem is not None:
        reason, setting = handling.problem, handling.setting
    else:
        return None
    return f"{reason} (check {setting})" if setting else reason


def _remove_log_handlers() -> None:
    """Remove those of Lambda's runtime, which would write secrets, and each line again."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)


handler = Function()
