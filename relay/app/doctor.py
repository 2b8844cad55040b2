"""The checks of `relay doctor`, wired: which of them the settings ask for, and with what."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

from relay.aws.errors import AwsError
from relay.aws.session import Session, open_session
from relay.destinations.inngest.queries import InngestQueries
from relay.ops.doctor import inngest, permissions, platform, queues, stores
from relay.ops.doctor.clocks import check_clocks
from relay.ops.doctor.identity import check_identity, check_settings
from relay.ops.doctor.lookup import QueueLookup, look_up_queues
from relay.ops.doctor.platform import Platform, read_platform
from relay.ops.doctor.result import CheckResult, not_checked
from relay.ops.doctor.stores import check_secret
from relay.settings.loading import Loaded
from relay.settings.model import Settings
from relay.telemetry import metrics

REACH = 10.0
"""Seconds for one question to the orchestrator."""


async def run_checks(
    loaded: Loaded,
    *,
    pull: bool,
    root: Path = platform.ROOT,
    clock: Callable[[], float] = time.time,
) -> list[CheckResult]:
    """Every finding, in the order of the road. Changes nothing anywhere."""
    settings = loaded.settings
    machine = Platform(None, None) if pull else read_platform(root)
    findings = [*check_settings(loaded.mistakes, loaded.warnings, loaded.missing_settings)]
    findings += [] if pull else platform.check_platform(machine, settings.queue_url)
    async with AsyncExitStack() as stack:
        try:
            session = await stack.enter_async_context(open_session())
        except AwsError as error:
            findings.append(_no_session(error))
            pair = QueueLookup()
        else:
            findings += (await check_identity(session, clock))[0]
            url = settings.queue_url or machine.queue_url
            pair = await look_up_queues(session, stack, url, settings.dlq_url)
            findings += await _of_aws(session, settings, pair, pull=pull)
    findings += check_clocks(settings.clocks, {**machine.figures, **_figures(pair)}, pull=pull)
    return [*findings, *await check_destinations(settings)]


def _no_session(error: AwsError) -> CheckResult:
    return CheckResult(
        check="aws.session",
        state="fail",
        found=error.sentence,
        why="nothing of AWS can be looked at, and the relay cannot start",
        fix="see AWS_PROFILE and AWS_CONFIG_FILE",
    )


async def _of_aws(
    session: Session, settings: Settings, pair: QueueLookup, *, pull: bool
) -> list[CheckResult]:
    found = [*pair.findings]
    intended = queues.QueueExpectations(
        pull=pull,
        max_receive_count=settings.max_receive_count,
        queue_retention=settings.queue_retention,
        dlq_retention=settings.dlq_retention,
        longest_answer=settings.clocks.longest_answer,
        max_event_bytes=settings.max_event_bytes,
    )
    if pair.main:
        found += queues.check_queue(pair.main.attributes, intended)
    if pair.dead:
        found += queues.check_dead_letter_queue(pair.dead.attributes, intended)
    if pair.main and pair.dead:
        found += queues.check_queue_pair(pair.main.attributes, pair.dead.attributes, intended)
    found += [finding async for finding in permissions.check_encryption(session, pair)]
    found += [finding async for finding in permissions.check_queue_permissions(pair)]
    wanted = settings.metrics in ("auto", "cloudwatch")
    found += permissions.check_metrics_permission(metrics.NAMESPACE, wanted=wanted)
    found += [finding async for finding in stores.check_ledger(session, settings.ledger_table)]
    buckets = stores.check_payload_buckets(session, settings.payload_buckets)
    return [*found, *[finding async for finding in buckets]]


def _figures(pair: QueueLookup) -> dict[str, float]:
    """What was truly read of the queues, by the names of the fields of `relay.clocks.Clocks`."""
    figures: dict[str, float] = {}
    if pair.main:
        figures["queue_retention"] = pair.main.attributes.retention
        if pair.main.attributes.redrive:
            figures["max_receive_count"] = pair.main.attributes.redrive.max_receive_count
    if pair.dead:
        figures["dlq_retention"] = pair.dead.attributes.retention
    return figures


async def check_destinations(settings: Settings) -> list[CheckResult]:
    """What the orchestrator says when it is asked, with the keys looked up as the relay does."""
    others = [name for name in settings.destinations if name != "inngest"]
    findings = [_unasked(others)] if others else []
    if "inngest" not in settings.destinations:
        return findings
    event_key = await _key(findings, settings, "inngest_event_key")
    signing_key = await _key(findings, settings, "inngest_signing_key")
    if event_key is None and (settings.cloud or settings.inngest_event_key_secret):
        why = "see the findings about the key itself"
        return [*findings, not_checked("orchestrator.event-key", "there is no key", why=why)]
    questions = InngestQueries(
        settings.inngest_url,
        event_key=event_key or "relay",
        signing_key=signing_key,
        cloud=settings.cloud,
        env=settings.inngest_env,
        timeout=min(REACH, settings.request_timeout),
    )
    async with questions:
        checks = inngest.check_inngest(
            questions,
            cloud=settings.cloud,
            confirms=settings.confirms,
            signed=signing_key is not None,
        )
        return [*findings, *[finding async for finding in checks]]


def _unasked(destinations: Sequence[str]) -> CheckResult:
    return not_checked(
        "orchestrator",
        f"nothing is asked of {', '.join(destinations)} here",
        why="a wrong address or key halts the relay, and a retry may run twice without an id",
        fix="send one event with `relay send` and see it arrive; see docs/destinations",
    )


async def _key(findings: list[CheckResult], settings: Settings, name: str) -> str | None:
    given: SecretStr | None = getattr(settings, name)
    reference: str | None = getattr(settings, f"{name}_secret")
    if reference is None:
        return given.get_secret_value() if given else None
    finding, value = await check_secret(f"RELAY_{name.upper()}_SECRET", reference)
    findings.append(finding)
    return value
