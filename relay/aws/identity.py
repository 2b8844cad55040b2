"""Who we are to AWS, and what time it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from relay.aws.errors import AwsError, senseless, translate
from relay.aws.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdentity:
    """The answer of STS. `date` is AWS's time of day in epoch seconds, also where it refused."""

    arn: str | None = None
    account: str | None = None
    date: float | None = None
    error: AwsError | None = None


async def caller_identity(session: Session) -> CallerIdentity:
    """Ask STS whose credentials these are. Needs no permission. Never raises for its answer.

    Raises:
        AwsError: no client can be opened (no region, no such profile).
    """
    client = await session.client("sts")
    try:
        answer = await client.get_caller_identity()
    except Exception as error:  # noqa: BLE001 - whatever it is becomes a value
        # Of a request that was never sent the attribute is there, and None.
        told = getattr(error, "response", None) or {}
        about = translate(error, "sts:GetCallerIdentity", "AWS STS")
        return CallerIdentity(date=_date(told), error=about)
    if "Arn" not in answer:
        return CallerIdentity(error=senseless("sts:GetCallerIdentity", "AWS STS", "no ARN"))
    return CallerIdentity(arn=answer["Arn"], account=answer["Account"], date=_date(answer))


def _date(answer: Mapping[str, Any]) -> float | None:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A key as KMS describes it. `shared` keys are AWS's own of this account, one a service."""

    arn: str
    state: str
    aws_managed: bool


async def describe_key(session: Session, key: str, region: str | None = None) -> KmsKey:
    """The key of this id, ARN or alias.

    Raises:
        AwsError: there is none, or it may not be described.
    """
    client = await session.client("kms", region)
    try:
        told = (await client.describe_key(KeyId=key))["KeyMetadata"]
    except Exception as error:
        raise translate(error, "kms:DescribeKey", key) from error
    return KmsKey(told["Arn"], told.get("KeyState", ""), told.get("KeyManager") == "AWS")


async def try_key(session: Session, key: str, region: str | None = None) -> None:
    """Make a data key and decrypt it, the two things that SQS asks for. Nothing is kept.

    Raises:
        AwsError: one of them is refused; the sentence names the permission.
    """
    client = await session.client("kms", region)
    action = "kms:GenerateDataKey"
    try:
        made = await client.generate_data_key(KeyId=key, KeySpec="AES_256")
        action = "kms:Decrypt"
        await client.decrypt(CiphertextBlob=made["CiphertextBlob"])
    except Exception as error:
        raise translate(error, action, key) from error
