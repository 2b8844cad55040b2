"""Keys of KMS: their state, and whether these credentials may use them."""

from __future__ import annotations

from dataclasses import dataclass

from relay.aws.errors import translate
from relay.aws.session import Session


@dataclass(frozen=True, slots=True)
class Key:
    """A key as KMS describes it. `shared` keys are AWS's own of this account, one a service."""

    arn: str
    state: str
    shared: bool


async def describe_key(session: Session, key: str, region: str | None = None) -> Key:
    """The key of this id, ARN or alias.

    Raises:
        QueueError: there is none, or it may not be described.
    """
    client = await session.client("kms", region)
    try:
        told = (await client.describe_key(KeyId=key))["KeyMetadata"]
    except Exception as error:
        raise translate(error, "kms:DescribeKey", key) from error
    return Key(told["Arn"], told.get("KeyState", ""), told.get("KeyManager") == "AWS")


async def try_key(session: Session, key: str, region: str | None = None) -> None:
    """Make a data key and decrypt it, the two things that SQS asks for. Nothing is kept.

    Raises:
        QueueError: one of them is refused; the sentence names the permission.
    """
    client = await session.client("kms", region)
    action = "kms:GenerateDataKey"
    try:
        made = await client.generate_data_key(KeyId=key, KeySpec="AES_256")
        action = "kms:Decrypt"
        await client.decrypt(CiphertextBlob=made["CiphertextBlob"])
    except Exception as error:
        raise translate(error, action, key) from error
