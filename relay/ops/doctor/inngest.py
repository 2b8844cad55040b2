"""The Inngest server: there, taking the key, and what its "accepted" is worth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

from relay.destinations.inngest.answers import Answer
from relay.destinations.inngest.queries import InngestQueries
from relay.model.destination import Unavailable
from relay.ops.doctor.result import CheckResult, not_checked, ok, rule

_SHUT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NO_KEYS = HTTPStatus.SERVICE_UNAVAILABLE
_HALTS = "the relay halts: messages wait in the queue until it is mended"
_KEY_FIX = "set RELAY_INNGEST_EVENT_KEY, or the secret that it is kept in, to a key of this server"


async def check_inngest(
    questions: InngestQueries, *, cloud: bool, confirms: bool, signed: bool
) -> AsyncIterator[CheckResult]:
    """Ask the server. `signed` says that there is a signing key to read back with."""
    yield _worth(cloud=cloud, confirms=confirms)
    try:
        answer = await questions.check_event_key()
    except Unavailable as error:
        yield _unreachable(error)
        return
    dev = None if cloud else await _is_dev(questions)
    yield _event_key(answer, dev=bool(dev))
    if confirms or signed:
        yield await _read_back(questions, confirms=confirms)
    if cloud:
        yield not_checked(
            "orchestrator.event-size",
            "the Cloud does not tell your plan's limit, 256 KiB to 3 MiB an event",
            why="a larger event is refused, and becomes a dead letter",
            fix="look it up and set RELAY_MAX_EVENT_BYTES",
        )
    else:
        yield _persistence(dev=dev)


def _worth(*, cloud: bool, confirms: bool) -> CheckResult:
    """What a 200 of this server proves."""
    if cloud:
        how = "read back all the same" if confirms else "and believed: nothing is read back"
        return ok("orchestrator.confirm", f"Inngest's Cloud, whose 200 is durable, {how}")
    return rule(
        "orchestrator.confirm",
        "a server of your own, events are acknowledged once they are read back"
        if confirms
        else "a server of your own, and events are not read back",
        holds=confirms,
        why="its 200 is in memory only: a restart loses what it had just accepted, for good",
        fix="set RELAY_CONFIRM=auto and RELAY_INNGEST_SIGNING_KEY",
        otherwise="warn",
    )


def _unreachable(error: Unavailable) -> CheckResult:
    return CheckResult(
        check="orchestrator.reachable",
        state="fail",
        found=error.reason,
        why="no event can be delivered; messages wait in the queue",
        fix=f"look at {error.setting}" if error.setting else "start the server, or open the way",
    )


def _event_key(answer: Answer, *, dev: bool) -> CheckResult:
    """What the server says to nothing, sent with the key."""
    check = "orchestrator.event-key"
    fields = answer.fields
    told = f"{answer.status}: {answer.error or 'no words of the event API'}"
    if answer.status in _SHUT or (answer.status == _NO_KEYS and "key" in answer.error.lower()):
        return CheckResult(check=check, state="fail", found=told, why=_HALTS, fix=_KEY_FIX)
    if answer.status == HTTPStatus.OK and isinstance(fields.get("ids"), list):
        return ok(check, "a dev server takes any key" if dev else "known to the server")
    if answer.status < HTTPStatus.BAD_REQUEST or answer.status in (
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
    ):
        return CheckResult(
            check="orchestrator.url",
            state="fail",
            found=f"{answer.status} with an answer that is not the event API's",
            why=_HALTS,
            fix="correct RELAY_INNGEST_URL: the server's address without /e/",
        )
    return not_checked(
        check,
        f"{told}: it does not tell without an event",
        why="a key that the server does not know halts the relay",
        fix="send one event with `relay send`, or compare it with the server's keys",
    )


async def _read_back(questions: InngestQueries, *, confirms: bool) -> CheckResult:
    check = "orchestrator.read-back"
    try:
        answer = await questions.get("/v1/events", {"limit": "1"})
    except Unavailable as error:
        answer = Answer(0, "", {})
        told = error.reason
    else:
        told = f"{answer.status}: {answer.error or 'no words of the API'}"
    return rule(
        check,
        "stored events can be read" if "data" in answer.fields else told,
        holds=answer.status == HTTPStatus.OK and isinstance(answer.fields.get("data"), list),
        why="no event can be confirmed, so none is acknowledged"
        if confirms
        else "`relay trace` cannot tell what became of an event",
        fix="set RELAY_INNGEST_SIGNING_KEY to the server's"
        if answer.status in _SHUT
        else "see that this server has the API /v1/events",
        otherwise="fail" if confirms else "warn",
    )


async def _is_dev(questions: InngestQueries) -> bool | None:
    """Whether it says that it is a dev server; None where it says nothing."""
    try:
        fields = (await questions.get_unsigned("/dev")).fields
    except Unavailable:
        return None
    # `inngest dev` describes itself here; `inngest start` says otherwise, or nothing.
    return not fields.get("isSingleNodeService") if "startOpts" in fields else None


def _persistence(*, dev: bool | None) -> CheckResult:
    check = "orchestrator.persistence"
    why = "what it has stored and not yet run is lost when it dies, and so is its memory of ids"
    if dev:
        return CheckResult(
            check=check,
            state="warn",
            found="`inngest dev`: everything is in memory",
            why=why,
            fix="use it on one machine only; else `inngest start` with --redis-uri and"
            " --postgres-uri",
        )
    return not_checked(
        check,
        "a server does not tell where its queue is",
        why=why,
        fix="start it with --redis-uri to a Redis of its own with `appendonly yes`, and"
        " --postgres-uri: without them its queue is in memory, snapshotted now and then",
    )
