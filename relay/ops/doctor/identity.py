"""Check the settings, the AWS region and credentials, and the system clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from relay.aws.errors import AwsError
from relay.aws.identity import CallerIdentity, caller_identity
from relay.aws.session import Session
from relay.ops.doctor.result import CheckResult, not_checked, ok, rule

MAX_CLOCK_SKEW = 300.0
"""Seconds. AWS rejects a signature with a larger skew."""

CLOCK_SKEW_WARNING = 10.0
"""Seconds. Ages, expiry times and the ledger's time to live are wrong by the skew."""

_CLOCK_WHY = (
    "AWS rejects signatures that are five minutes off, and message ages are computed with this"
    " clock"
)


async def check_identity(
    session: Session, clock: Callable[[], float] = time.time
) -> list[CheckResult]:
    """Check the region, the credentials and the clock."""
    region = session.region
    results = [
        rule(
            "aws.region",
            region or "no region is set",
            holds=region is not None,
            why="queues given by name, the ledger and the secrets are looked up in this region",
            fix="set AWS_REGION",
        )
    ]
    try:
        found = await caller_identity(session)
    except AwsError as error:
        found = CallerIdentity(error=error)
    return [*results, _credentials(found), _clock(found, clock())]


def _credentials(found: CallerIdentity) -> CheckResult:
    if found.error is None:
        return ok("aws.credentials", f"{found.arn}; all results below are for this identity")
    why = "without valid credentials no message can be received or dead-lettered"
    if found.error.kind == "connection":
        # A network may have no route to STS and still reach everything that the relay needs.
        return not_checked(
            "aws.credentials",
            "AWS STS cannot be reached from here to look up the identity",
            why=why,
            fix="see queue.exists, which uses the same credentials",
        )
    if found.emulator is not None:
        return not_checked(
            "aws.credentials",
            f"{found.emulator} is not AWS and does not tell whose the credentials are",
            why=why,
            fix="unset AWS_ENDPOINT_URL to check a deployment on AWS",
        )
    return CheckResult(
        check="aws.credentials",
        status="fail",
        found=found.error.sentence,
        why=why,
        fix="run this where the relay runs, with the relay's role, or set AWS_PROFILE",
    )


def _clock(found: CallerIdentity, now: float) -> CheckResult:
    if found.date is None:
        return not_checked(
            "clock", "AWS returned no time", why=_CLOCK_WHY, fix="compare it: `date -u`"
        )
    skew = now - found.date
    return rule(
        "clock",
        f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS",
        holds=abs(skew) < CLOCK_SKEW_WARNING,
        why=_CLOCK_WHY,
        fix="synchronize the clock with chrony or systemd-timesyncd: `timedatectl set-ntp true`",
        otherwise="fail" if abs(skew) >= MAX_CLOCK_SKEW else "warn",
    )


def check_settings(
    errors: tuple[str, ...], warnings: tuple[str, ...], missing: tuple[str, ...]
) -> Iterator[CheckResult]:
    """Report the errors and warnings of the settings themselves."""
    for sentence in (*errors, *missing):
        yield CheckResult(
            check="settings",
            status="fail",
            found=sentence,
            why="`relay serve` starts halted and `relay poll` does not start; the checks below use"
            " the default value instead",
        )
    for sentence in warnings:
        yield CheckResult(check="settings", status="warn", found=sentence, why="it has no effect")
    if not (errors or missing):
        yield ok("settings", "no errors")
