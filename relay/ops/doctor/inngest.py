"""Check the Inngest server: reachable, accepts the key, and how durable its 200 is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

from relay.destinations.inngest.answers import Answer
from relay.destinations.inngest.queries import InngestQueries
from relay.model.destination import Unavailable
from relay.ops.doctor.result import CheckResult, not_checked, ok, rule

_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NO_KEYS = HTTPStatus.SERVICE_UNAVAILABLE
_HALTS = "the relay halts: messages wait in the queue until this is fixed"
_KEY_FIX = "set RELAY_INNGEST_EVENT_KEY, or the secret that holds it, to a key of this server"


async def check_inngest(
    queries: InngestQueries, *, cloud: bool, confirms: bool, signed: bool
) -> AsyncIterator[CheckResult]:
    """Check the server. `signed` is whether there is a signing key to read events back with."""
    yield _durability(cloud=cloud, confirms=confirms)
    try:
        answer = await queries.check_event_key()
    except Unavailable as error:
        yield _unreachable(error)
        return
    dev = None if cloud else await _is_dev(queries)
    yield _event_key(answer, dev=bool(dev))
    if confirms or signed:
        yield await _read_back(queries, confirms=confirms)
    if cloud:
        yield not_checked(
            "orchestrator.event-size",
            "the API does not report your plan's limit (256 KiB to 3 MiB per event)",
            why="Inngest rejects a larger event, and it becomes a dead letter",
            fix="look up the limit of your plan and set RELAY_MAX_EVENT_BYTES",
        )
    else:
        yield _persistence(dev=dev)


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


async def _read_back(queries: InngestQueries, *, confirms: bool) -> CheckResult:
    check = "orchestrator.read-back"
    try:
        answer = await queries.get("/v1/events", {"limit": "1"})
    except Unavailable as error:
        answer = Answer(0, "", {})
        found = error.reason
    else:
        found = f"{answer.status}: {answer.error or 'not a response of the API'}"
    return rule(
        check,
        "stored events can be read" if "data" in answer.fields else found,
        holds=answer.status == HTTPStatus.OK and isinstance(answer.fields.get("data"), list),
        why="no event can be confirmed, so no message is acknowledged"
        if confirms
        else "`relay trace` cannot show what happened to an event",
        fix="set RELAY_INNGEST_SIGNING_KEY to the server's key"
        if answer.status in _DENIED
        else "use a server that has the API /v1/events",
        otherwise="fail" if confirms else "warn",
    )


async def _is_dev(queries: InngestQueries) -> bool | None:
    """Whether the server reports that it is a dev server; None if it reports nothing."""
    try:
        fields = (await queries.get_unsigned("/dev")).fields
    except Unavailable:
        return None
    # `inngest dev` describes itself at this path; `inngest start` sets isSingleNodeService, or
    # does not answer.
    return not fields.get("isSingleNodeService") if "startOpts" in fields else None


def _persistence(*, dev: bool | None) -> CheckResult:
    check = "orchestrator.persistence"
    why = (
        "if the server dies, it loses the events that have not run yet and the ids by which it"
        " deduplicates"
    )
    if dev:
        return CheckResult(
            check=check,
            status="warn",
            found="`inngest dev` keeps everything in memory",
            why=why,
            fix="use it for development only; in production run `inngest start` with --redis-uri"
            " and --postgres-uri",
        )
    return not_checked(
        check,
        "the API does not report where the server keeps its queue",
        why=why,
        fix="start the server with --redis-uri to a dedicated Redis with `appendonly yes`, and"
        " --postgres-uri: without them its queue is in memory, with occasional snapshots",
    )
