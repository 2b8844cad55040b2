"""What people call a queue: its URL, its ARN or its name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.aws.errors import AwsError

_ARN_PARTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a reference tells about where its queue is; the rest is for the session to know."""

    name: str
    url: str | None = None
    arn: str | None = None
    region: str | None = None
    account: str | None = None


def parse_reference(reference: str) -> Place:
    """Read a URL, an ARN or a name.

    Raises:
        AwsError: it is none of them.
    """
    if reference.startswith(("http://", "https://")):
        parts = urlsplit(reference)
        name = parts.path.rstrip("/").rpartition("/")[2]
        if name:
            return Place(name=name, url=reference, region=_region_of(parts.hostname or ""))
    elif reference.startswith("arn:"):
        fields = reference.split(":")
        if len(fields) == _ARN_PARTS and fields[2] == "sqs" and fields[5]:
            return Place(name=fields[5], arn=reference, region=fields[3], account=fields[4])
    elif reference and "/" not in reference and ":" not in reference:
        return Place(name=reference)
    raise AwsError(
        "InvalidAddress", "missing", f"{reference!r} is neither a queue's URL nor its ARN or name"
    )


def arn_of(url: str, region: str) -> str:
    """The ARN that follows from a queue's URL, whose path is account and name."""
    account, _, name = urlsplit(url).path.rstrip("/").rpartition("/")
    if region.startswith("cn-"):
        partition = "aws-cn"
    else:
        partition = "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:sqs:{region}:{account.rpartition('/')[2]}:{name}"


def _region_of(host: str) -> str | None:
    """The region in a host of AWS: `sqs.eu-west-1.amazonaws.com`, or the old form of it."""
    labels = host.split(".")
    if "amazonaws" not in labels:
        return None
    if labels[0] in ("sqs", "sqs-fips"):
        return labels[1]
    return labels[0] if labels[1] == "queue" else None
