"""Run the checks of `relay doctor` that apply to the settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

from relay.app.destinations.inngest import inngest_tls, open_reader
from relay.app.destinations.reaching import Place, place_of, reach
from relay.aws.errors import AwsError
from relay.aws.session import Session, open_session
from relay.destinations.inngest.queries import InngestQueries
from relay.http.proxy_variables import InvalidProxy
from relay.model.destination import Unavailable
from relay.ops.doctor import inngest, pause, permissions, platform, queues, stores
from relay.ops.doctor.clocks import check_clocks
from relay.ops.doctor.identity import check_identity, check_settings
from relay.ops.doctor.lookup import QueueLookup, look_up_queues
from relay.ops.doctor.platform import Platform, read_platform
from relay.ops.doctor.result import CheckResult, not_checked, ok
from relay.ops.doctor.stores import check_secret
from relay.settings.clocks import HTTP_CONNECTIONS
from relay.settings.loading import INVALID, Loaded
from relay.settings.model import Settings
from relay.settings.reference import variable
from relay.telemetry import metrics

_INNGEST = (
    "destination",
    "routes",
    "inngest_url",
    "inngest_ca_file",
    "inngest_env",
    "inngest_event_key",
    "inngest_event_key_secret",
    "inngest_signing_key",
    "inngest_signing_key_secret",
)
"""The settings that say which server is queried, and with which keys."""

QUERY_TIMEOUT = 10.0
"""Seconds for one request to the orchestrator."""


async def run_checks(
    loaded: Loaded,
    *,
    pull: bool,
    root: Path = platform.ROOT,
    clock: Callable[[], float] = time.time,
) -> list[CheckResult]:
    """Run all checks, in the order in which a message passes what they check. Changes nothing."""
    settings = loaded.settings
    machine = Platform(None, None) if pull else read_platform(root)
    results = [*check_settings(loaded.errors, loaded.warnings, loaded.missing_settings)]
    results += [] if pull else platform.check_platform(machine, settings.queue_url)
    async with AsyncExitStack() as stack:
        try:
            session = await stack.enter_async_context(open_session())
        except AwsError as error:
            results.append(_no_session(error))
            found = QueueLookup()
        else:
            results += await check_identity(session, clock)
            url = settings.queue_url or machine.queue_url
            found = await look_up_queues(session, stack, url, settings.dlq_url)
            hidden = _longest_hidden(settings, machine)
            results += await _check_aws(session, settings, found, pull=pull, hidden=hidden)
    results += check_clocks(settings.clocks, machine.clocks | _queue_clocks(found), pull=pull)
    return [*results, *await check_destinations(loaded)]


def _no_session(error: AwsError) -> CheckResult:
    return CheckResult(
        check="aws.session",
        status="fail",
        found=error.sentence,
        why="no AWS service can be called, and the relay cannot start",
        fix="check AWS_PROFILE and AWS_CONFIG_FILE",
    )


async def _check_aws(
    session: Session, settings: Settings, found: QueueLookup, *, pull: bool, hidden: float
) -> list[CheckResult]:
    results = [*found.results]
    expected = queues.QueueExpectations(
        pull=pull,
        max_receive_count=settings.max_receive_count,
        queue_retention=settings.queue_retention,
        dlq_retention=settings.dlq_retention,
        longest_answer=settings.clocks.longest_answer,
        longest_hidden=hidden,
        turn=0.0 if pull else settings.clocks.outcome_timeout / HTTP_CONNECTIONS,
        max_event_bytes=settings.max_event_bytes,
    )
    if found.main:
        results += queues.check_queue(found.main.attributes, expected)
    if found.dead_letter:
        results += queues.check_dead_letter_queue(found.dead_letter.attributes, expected)
    if found.main and found.dead_letter:
        results += queues.check_queue_pair(
            found.main.attributes, found.dead_letter.attributes, expected
        )
    results += [result async for result in permissions.check_encryption(session, found)]
    results += [result async for result in permissions.check_queue_permissions(found)]
    named = settings.queue_url is not None
    results += [result async for result in pause.check_pause(found.main, named=named)]
    to_cloudwatch = settings.metrics in ("auto", "cloudwatch")
    results += permissions.check_metrics_permission(metrics.NAMESPACE, enabled=to_cloudwatch)
    results += [result async for result in stores.check_ledger(session, settings.ledger_table)]
    buckets = stores.check_payload_buckets(
        session, settings.payload_buckets, settings.dead_letter_bucket
    )
    return [*results, *[result async for result in buckets]]


def _longest_hidden(settings: Settings, machine: Platform) -> float:
    """Seconds: sqsd's own values where they can be read, else those of the settings."""
    read = machine.clocks
    return max(
        read.get("sqsd_visibility_timeout", settings.sqsd_visibility_timeout),
        read.get("sqsd_error_visibility_timeout", settings.sqsd_error_visibility_timeout),
    )


def _queue_clocks(found: QueueLookup) -> dict[str, float]:
    """The queues' actual values, by field name of `relay.settings.clocks.Clocks`."""
    actual: dict[str, float] = {}
    if found.main:
        actual["queue_retention"] = found.main.attributes.retention
        if found.main.attributes.redrive:
            actual["max_receive_count"] = found.main.attributes.redrive.max_receive_count
    if found.dead_letter:
        actual["dlq_retention"] = found.dead_letter.attributes.retention
    return actual


async def check_destinations(loaded: Loaded) -> list[CheckResult]:
    """Check the destinations, with the keys looked up as the relay does.

    Only Inngest is queried; to the others a connection is opened. Nothing is sent while a setting
    that says where, or with which key, is invalid: its default is another server.
    """
    settings = loaded.settings
    others = [name for name in settings.destinations if name != "inngest"]
    results = [_not_queried(others)] if others else []
    places = [place for name in others if (place := place_of(settings, name))]
    results += [await _check_connection(settings, place) for place in places]
    if "inngest" not in settings.destinations:
        return results
    event_key = await _key(results, settings, "inngest_event_key")
    signing_key = await _key(results, settings, "inngest_signing_key")
    if invalid := [name for name in _INNGEST if loaded.sources[name] == INVALID]:
        return [*results, _refused(invalid)]
    if event_key is None and (settings.cloud or settings.inngest_event_key_secret):
        why = "see the result of the check of its secret or setting"
        return [*results, not_checked("orchestrator.event-key", "no key is available", why=why)]

    async def signed() -> str | None:
        return signing_key

    try:
        tls = inngest_tls(settings)
        queries = InngestQueries(
            settings.inngest_url,
            event_key=event_key or "relay",
            signing_key=signing_key,
            cloud=settings.cloud,
            env=settings.inngest_env,
            timeout=min(QUERY_TIMEOUT, settings.request_timeout),
            tls=tls,
        )
        reading = open_reader(settings, signed, tls)
    except (OSError, InvalidProxy) as error:
        return [*results, _not_reachable(error)]
    async with queries, reading as reader:
        checks = inngest.check_inngest(
            queries,
            reader,
            cloud=settings.cloud,
            confirms=settings.confirms,
            signed=signing_key is not None,
            ledger=settings.ledger_table is not None,
        )
        return [*results, *[result async for result in checks]]


async def _check_connection(settings: Settings, place: Place) -> CheckResult:
    check = f"{place.name}.connection"
    try:
        return ok(check, await reach(settings, place))
    except Unavailable as error:
        fix = f"check {error.setting}" if error.setting else "start it, or fix the network"
        why = "no event can be delivered; messages wait in the queue"
        return CheckResult(check=check, status="fail", found=error.reason, why=why, fix=fix)
    except (OSError, ValueError) as error:
        return not_checked(check, f"nothing is sent to {place.name}: {error}")


def _not_reachable(error: Exception) -> CheckResult:
    return not_checked(
        "orchestrator",
        f"nothing is sent to Inngest: {error}",
        why="the relay cannot connect to it either",
        fix="see the check `settings`",
    )


def _refused(names: Sequence[str]) -> CheckResult:
    return not_checked(
        "orchestrator",
        f"nothing is sent to Inngest: {', '.join(map(variable, names))} cannot be used",
        why="the default value may be another server, which must not get the keys",
        fix="fix the settings, see the check `settings`",
    )


def _not_queried(destinations: Sequence[str]) -> CheckResult:
    return not_checked(
        "orchestrator",
        f"no event is sent to {', '.join(destinations)}, and no key is tried",
        why="a wrong key or path halts the relay at the first event",
        fix="send one event with `relay send` and verify that it arrives; see docs/destinations",
    )


async def _key(results: list[CheckResult], settings: Settings, name: str) -> str | None:
    given: SecretStr | None = getattr(settings, name)
    reference: str | None = getattr(settings, f"{name}_secret")
    if reference is None:
        return given.get_secret_value() if given else None
    result, value = await check_secret(f"RELAY_{name.upper()}_SECRET", reference)
    results.append(result)
    return value
