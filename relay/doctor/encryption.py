"""Whether the queues' encryption keys can be used, now and by those who have to."""

from __future__ import annotations

from collections.abc import AsyncIterator

from relay.aws.errors import QueueError
from relay.aws.keys import Key, describe_key, try_key
from relay.aws.session import Session
from relay.doctor.finding import Finding, Statement, ok, unchecked
from relay.doctor.pair import Pair, Seen

AWSS_OWN = "alias/aws/"
USES = ("kms:GenerateDataKey", "kms:Decrypt")
_LOCKED = "nothing can be received from an encrypted queue and nothing dead-lettered without it"


async def of_encryption(session: Session, pair: Pair) -> AsyncIterator[Finding]:
    """Each queue's encryption, and each key once."""
    keys: dict[tuple[str, str], str] = {}
    for which, seen in (("queue", pair.main), ("dlq", pair.dead)):
        if seen is None:
            continue
        if seen.attributes.kms_key is None:
            yield ok(f"{which}.encryption", "no key of KMS, nothing to be permitted")
            continue
        keys.setdefault((seen.attributes.kms_key, _region(seen)), f"{which}.encryption")
    for (key, region), check in keys.items():
        async for finding in _key(session, check, key, region):
            yield finding


async def _key(session: Session, check: str, name: str, region: str) -> AsyncIterator[Finding]:
    if name.startswith(AWSS_OWN):
        yield _shared(check, f"{name} is AWS's own")
        return
    statement = Statement(USES, name if name.startswith("arn:") else "the key's ARN")
    try:
        key = await describe_key(session, name, region)
    except QueueError as error:
        if error.kind != "denied":
            yield _broken(check, error.sentence)
            return
        yield unchecked(
            check,
            error.sentence,
            why="whether the key is enabled is not known",
            fix="look at its state in the console, or let somebody run this who may",
            statement=Statement(("kms:DescribeKey",), statement.resource),
        )
    else:
        yield _state(check, key)
        if key.shared or key.state != "Enabled":
            return
        statement = Statement(USES, key.arn)
    yield await _use(session, f"{check}.use", name, region, statement)


def _state(check: str, key: Key) -> Finding:
    if key.state != "Enabled":
        return _broken(check, f"{key.arn} is {key.state}")
    if key.shared:
        return _shared(check, f"{key.arn} is AWS's own")
    return ok(check, f"{key.arn} is enabled")


def _shared(check: str, found: str) -> Finding:
    return Finding(
        check=check,
        state="warn",
        found=found,
        why="such a key lets no other service (SNS, EventBridge, S3) and no other account send",
        fix="use a key of your own, or SQS-managed encryption, if such producers are wanted",
    )


def _broken(check: str, found: str) -> Finding:
    return Finding(
        check=check,
        state="fail",
        found=found,
        why=_LOCKED,
        fix="enable the key, cancel its deletion, or give the queue another one",
    )


async def _use(
    session: Session, check: str, name: str, region: str, statement: Statement
) -> Finding:
    try:
        await try_key(session, name, region)
    except QueueError as error:
        return Finding(
            check=check,
            state="warn" if error.kind == "denied" else "fail",
            found=error.sentence,
            why=_LOCKED,
            fix="grant the statement, in the key's policy too. If that lets you in through SQS"
            " alone (kms:ViaService), this refusal is as it should be",
            statement=statement,
        )
    return ok(check, "a data key was made and decrypted")


def _region(seen: Seen) -> str:
    return seen.queue.arn.split(":")[3]
