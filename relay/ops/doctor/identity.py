"""Whose credentials these are, and whether this machine's clock is right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from relay.aws.errors import AwsError
from relay.aws.identity import CallerIdentity, caller_identity
from relay.aws.session import Session
from relay.ops.doctor.result import CheckResult, not_checked, ok, rule

REFUSED = 300.0
"""Seconds. A signature that is further off is refused by AWS."""

NOTICED = 10.0
"""Seconds. Ages, expiries and the ledger's memory are off by as much."""


async def check_identity(
    session: Session, clock: Callable[[], float] = time.time
) -> tuple[list[CheckResult], CallerIdentity]:
    """Region, credentials and clock; and who we are, for the statements of other groups."""
    region = session.region
    findings = [
        rule(
            "aws.region",
            region or "no region is known",
            holds=region is not None,
            why="a queue by name, the ledger and the secrets are looked up in it",
            fix="set AWS_REGION",
        )
    ]
    try:
        found = await caller_identity(session)
    except AwsError as error:
        found = CallerIdentity(error=error)
    findings += [_credentials(found), _clock(found, clock())]
    return findings, found


def _credentials(found: CallerIdentity) -> CheckResult:
    if found.error is None:
        return ok("aws.credentials", f"{found.arn}; what follows holds for it and for nobody else")
    why = "without credentials that AWS takes nothing can be received or dead-lettered"
    if found.error.kind == "connection":
        # A network without a way to STS may have one to all that the relay needs.
        return not_checked(
            "aws.credentials",
            "AWS STS cannot be reached from here to be asked whose they are",
            why=why,
            fix="see what SQS says of the queue",
        )
    return CheckResult(
        check="aws.credentials",
        state="fail",
        found=found.error.sentence,
        why=why,
        fix="run this where the relay runs, with its role, or set AWS_PROFILE",
    )


def _clock(found: CallerIdentity, now: float) -> CheckResult:
    fix = "let chrony or systemd-timesyncd set the clock: `timedatectl set-ntp true`"
    if found.date is None:
        return not_checked("clock", "AWS told no time", why=_WHY, fix="compare it: `date -u`")
    off = now - found.date
    told = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} AWS"
    bad = abs(off) >= REFUSED
    return rule(
        "clock",
        told,
        holds=abs(off) < NOTICED,
        why=_WHY,
        fix=fix,
        otherwise="fail" if bad else "warn",
    )


_WHY = "AWS refuses what is signed five minutes off, and ages of messages are told by this clock"


def check_settings(
    mistakes: tuple[str, ...], warnings: tuple[str, ...], missing: tuple[str, ...]
) -> Iterator[CheckResult]:
    """What is wrong with the settings before anything is asked."""
    for sentence in (*mistakes, *missing):
        yield CheckResult(
            check="settings",
            state="fail",
            found=sentence,
            why="`relay serve` starts halted with it and `relay poll` not at all; here the default"
            " stands in for it",
        )
    for sentence in warnings:
        yield CheckResult(
            check="settings", state="warn", found=sentence, why="it has no effect as it is"
        )
    if not (mistakes or missing):
        yield ok("settings", "no mistakes among them")
