"""The caller's identity (STS), AWS's time, and KMS keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from relay.aws.errors import (
    MALFORMED,
    AwsError,
    calling,
    invalid_response,
    read_text,
    translate,
)
from relay.aws.regions import is_aws
from relay.aws.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdentity:
    """The answer of STS. `date` is AWS's time in epoch seconds, even if the call was refused.

    `emulator` is the endpoint that refused the call if it is none of AWS.
    """

    arn: str | None = None
    account: str | None = None
    date: float | None = None
    error: AwsError | None = None
    emulator: str | None = None


async def caller_identity(session: Session) -> CallerIdentity:
    """The owner of the credentials. Needs no permission. A failed call is in `error`, not raised.

    Raises:
        AwsError: no client can be opened (no region, no such profile).
    """
    client = await session.client("sts")
    endpoint = client.meta.endpoint_url
    emulator = None if is_aws(urlsplit(endpoint).hostname or "") else endpoint
    try:
        answer = await client.get_caller_identity()
    except Exception as error:  # noqa: BLE001 - any error is returned as a value
        # The attribute is None for a request that was never sent.
        response = getattr(error, "response", None) or {}
        failure = translate(error, "sts:GetCallerIdentity", "AWS STS")
        refused_by = emulator if response else None
        return CallerIdentity(date=_date(response), error=failure, emulator=refused_by)
    arn, account = answer.get("Arn"), answer.get("Account")
    if not isinstance(arn, str) or not isinstance(account, str):
        return CallerIdentity(error=invalid_response("sts:GetCallerIdentity", "AWS STS", "ARN"))
    return CallerIdentity(arn=arn, account=account, date=_date(answer))


def _date(answer: Mapping[str, Any]) -> float | None:
    try:
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return parsedate_to_datetime(headers["date"]).timestamp()
    except MALFORMED:
        return None


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A key as KMS describes it. AWS manages one key of its own for each service in an account."""

    arn: str
    state: str
    aws_managed: bool


async def describe_key(session: Session, key: str, region: str | None = None) -> KmsKey:
    """The key with this id, ARN or alias.

    Raises:
        AwsError: the key does not exist or may not be described.
    """
    client = await session.client("kms", region)
    with calling("kms:DescribeKey", key):
        metadata = (await client.describe_key(KeyId=key))["KeyMetadata"]
        state = read_text(metadata.get("KeyState", ""))
        return KmsKey(read_text(metadata["Arn"]), state, metadata.get("KeyManager") == "AWS")


async def try_key(session: Session, key: str, region: str | None = None) -> None:
    """Generate a data key and decrypt it, as SQS does. The result is discarded.

    Raises:
        AwsError: one of the two is refused; the sentence names the permission.
    """
    client = await session.client("kms", region)
    with calling("kms:GenerateDataKey", key):
        blob = (await client.generate_data_key(KeyId=key, KeySpec="AES_256"))["CiphertextBlob"]
    with calling("kms:Decrypt", key):
        await client.decrypt(CiphertextBlob=blob)
