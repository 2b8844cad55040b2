"""Check the Inngest server: reachable, accepts the key, and how durable its 200 is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

from relay.destinations.inngest.answers import Answer
from relay.destinations.inngest.queries import InngestQueries
from relay.destinations.inngest.read_back import CONFIRM, SIGNING_KEY, PageTooLarge, ReadBack
from relay.model.destination import Unavailable
from relay.ops.doctor.result import CheckResult, not_checked, ok, rule

_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NO_KEYS = HTTPStatus.SERVICE_UNAVAILABLE
_HALTS = "the relay halts: messages wait in the queue until this is fixed"
_NEVER_STORED = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
"""An internal id that no server gives: the last ULID there is."""

_KEY_FIX = "set RELAY_INNGEST_EVENT_KEY, or the secret that holds it, to a key of this server"


async def check_inngest(
    queries: InngestQueries,
    reader: ReadBack,
    *,
    cloud: bool,
    confirms: bool,
    signed: bool,
    ledger: bool,
) -> AsyncIterator[CheckResult]:
    """Check the server.

    Args:
        queries: reads from the server; posts no event.
        reader: confirm mode's own reader, so that what passes here can be confirmed there.
        cloud: whether the server is Inngest Cloud.
        confirms: whether events are read back before they are acknowledged.
        signed: whether there is a signing key to read events back with.
        ledger: whether the relay records what was delivered.
    """
    yield _durability(cloud=cloud, confirms=confirms)
    try:
        answer = await queries.check_event_key()
    except Unavailable as error:
        yield _unreachable(error)
        return
    kind = answer.headers.get("x-inngest-server-kind")
    yield _event_key(answer, dev=not cloud and kind == "dev")
    if confirms or signed:
        yield await _read_back(reader, confirms=confirms)
    if cloud:
        yield not_checked(
            "orchestrator.event-size",
            "the API does not report your plan's limit (256 KiB to 3 MiB per event)",
            why="Inngest rejects a larger event, and it becomes a dead letter",
            fix="look up the limit of your plan and set RELAY_MAX_EVENT_BYTES",
        )
    else:
        yield _persistence(kind, ledger=ledger)


def _durability(*, cloud: bool, confirms: bool) -> CheckResult:
    """What a 200 of this server proves."""
    if cloud:
        how = "events are read back anyway" if confirms else "events are not read back"
        return ok("orchestrator.confirm", f"Inngest Cloud: a 200 is durable; {how}")
    return rule(
        "orchestrator.confirm",
        "self-hosted server; messages are acknowledged after their events were read back"
        if confirms
        else "self-hosted server; events are not read back",
        holds=confirms,
        why="a self-hosted server returns 200 when the event is only in memory: a restart loses"
        " the events it has just accepted",
        fix="set RELAY_CONFIRM=auto and RELAY_INNGEST_SIGNING_KEY",
        otherwise="warn",
    )


def _unreachable(error: Unavailable) -> CheckResult:
    return CheckResult(
        check="orchestrator.reachable",
        status="fail",
        found=error.reason,
        why="no event can be delivered; messages wait in the queue",
        fix=f"check {error.setting}"
        if error.setting
        else "start the server, or fix the network path to it",
    )


def _event_key(answer: Answer, *, dev: bool) -> CheckResult:
    """Judge the server's response to an empty array of events, sent with the key."""
    check = "orchestrator.event-key"
    fields = answer.fields
    found = f"{answer.status}: {answer.error or 'not a response of the event API'}"
    if answer.status in _DENIED or (answer.status == _NO_KEYS and "key" in answer.error.lower()):
        return CheckResult(check=check, status="fail", found=found, why=_HALTS, fix=_KEY_FIX)
    if answer.status == HTTPStatus.OK and isinstance(fields.get("ids"), list):
        return ok(check, "a dev server accepts any key" if dev else "valid")
    if answer.status < HTTPStatus.BAD_REQUEST or answer.status in (
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
    ):
        return CheckResult(
            check="orchestrator.url",
            status="fail",
            found=f"{answer.status}, but the response is not that of the event API",
            why=_HALTS,
            fix="set RELAY_INNGEST_URL to the server's address, without /e/",
        )
    return not_checked(
        check,
        f"{found}: the key cannot be verified without sending an event",
        why="an unknown key halts the relay",
        fix="send one event with `relay send`, or compare the key with the server's keys",
    )


async def _read_back(reader: ReadBack, *, confirms: bool) -> CheckResult:
    setting = None
    try:
        problem, found = await _try_to_read(reader)
    except Unavailable as error:
        problem, found, setting = True, error.reason, error.setting
    return rule(
        "orchestrator.read-back",
        found,
        holds=not problem,
        why="no event can be confirmed, so no message is acknowledged"
        if confirms
        else "`relay trace` cannot show what happened to an event",
        fix=_READ_BACK_FIXES.get(setting or "", "look into the server's log"),
        otherwise="fail" if confirms else "warn",
    )


_READ_BACK_FIXES = {
    SIGNING_KEY: f"set {SIGNING_KEY} to the server's key",
    CONFIRM: "use a server that has the API /v1/events and check RELAY_INNGEST_URL; with"
    f" {CONFIRM}=off a restart of the server loses the events that it has just accepted",
}


async def _try_to_read(reader: ReadBack) -> tuple[bool, str]:
    """Whether reading back gives a wrong answer, and what it gives.

    An empty list proves little, and the newest event may be too recent to be readable by its id, so
    neither is a problem. The absent event and the listed one must be told apart.
    """
    if await reader.is_stored(_NEVER_STORED):
        return True, "the server reports an event as stored that never existed"
    try:
        newest = await reader.page(0.0, limit=1)
    except PageTooLarge:
        return False, "stored events can be read, but the newest is too large to be listed"
    if not newest:
        return False, "the server answers, but has no event yet to try it with"
    if not await reader.is_stored(newest[0].internal_id):
        return True, f"{newest[0].internal_id} is listed as stored and cannot be read by its id"
    return False, "stored events can be read: tried with the newest and with one that is absent"


def _persistence(kind: str | None, *, ledger: bool) -> CheckResult:
    """What survives a restart of a self-hosted server (measured with v1.43)."""
    check = "orchestrator.persistence"
    forgets = (
        "the runs that wait and the ids by which it deduplicates, after a clean stop as well: an"
        " event that is sent again runs again"
    )
    record = "" if ledger else "; set RELAY_LEDGER_TABLE, which records what was delivered"
    if kind == "dev":
        return CheckResult(
            check=check,
            status="warn",
            found="`inngest dev`, a server for development",
            why=f"a restart forgets its events, {forgets}",
            fix=f"in production run `inngest start` with --redis-uri and --postgres-uri{record}",
        )
    name = "`inngest start`" if kind else "a self-hosted server"
    return not_checked(
        check,
        f"{name}; the API does not report where it keeps its queue",
        why=f"in memory, which is the default and never saved, a restart forgets {forgets}",
        fix="start the server with --redis-uri to a dedicated Redis with `appendonly yes`, and"
        f" --postgres-uri{record}",
    )
