"""References to a queue: by URL, ARN or name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.aws.errors import AwsError

_ARN_PARTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLocation:
    """Where a queue is, as far as its reference says. The rest comes from the session."""

    name: str
    url: str | None = None
    arn: str | None = None
    region: str | None = None
    account: str | None = None


def parse_reference(reference: str) -> QueueLocation:
    """Parse a URL, an ARN or a name.

    Raises:
        AwsError: the reference is none of them.
    """
    if reference.startswith(("http://", "https://")):
        parts = urlsplit(reference)
        name = parts.path.rstrip("/").rpartition("/")[2]
        if name:
            return QueueLocation(name=name, url=reference, region=_region_of(parts.hostname or ""))
    elif reference.startswith("arn:"):
        fields = reference.split(":")
        if len(fields) == _ARN_PARTS and fields[2] == "sqs" and fields[5]:
            return QueueLocation(name=fields[5], arn=reference, region=fields[3], account=fields[4])
    elif reference and "/" not in reference and ":" not in reference:
        return QueueLocation(name=reference)
    raise AwsError(
        "InvalidAddress", "missing", f"{reference!r} is neither a queue's URL nor its ARN or name"
    )


def arn_of(url: str, region: str) -> str:
    """The ARN of a queue by its URL, whose path consists of account and name."""
    account, _, name = urlsplit(url).path.rstrip("/").rpartition("/")
    if region.startswith("cn-"):
        partition = "aws-cn"
    else:
        partition = "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:sqs:{region}:{account.rpartition('/')[2]}:{name}"


def _region_of(host: str) -> str | None:
    """The region in a host name of AWS: `sqs.eu-west-1.amazonaws.com`, or its legacy form."""
    labels = host.split(".")
    if "amazonaws" not in labels:
        return None
    if labels[0] in ("sqs", "sqs-fips"):
        return labels[1]
    return labels[0] if labels[1] == "queue" else None
