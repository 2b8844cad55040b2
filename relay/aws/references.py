"""References to a queue: by URL, ARN or name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.aws.errors import AwsError
from relay.aws.regions import partition_of, region_in

_ARN_PARTS = 6
_OLDEST_HOST = "queue.amazonaws.com"


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
        found = _parse_url(reference)
        if found is not None:
            return found
    elif reference.startswith("arn:"):
        fields = reference.split(":")
        if len(fields) == _ARN_PARTS and fields[2] == "sqs" and fields[5]:
            return QueueLocation(name=fields[5], arn=reference, region=fields[3], account=fields[4])
    elif reference and "/" not in reference and ":" not in reference:
        return QueueLocation(name=reference)
    raise AwsError(
        "InvalidAddress", "missing", f"{reference!r} is neither a queue's URL nor its ARN or name"
    )


def _parse_url(url: str) -> QueueLocation | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    name = parts.path.rstrip("/").rpartition("/")[2]
    if not name or not parts.hostname:
        return None
    return QueueLocation(name=name, url=url, region=_region_of(parts.hostname))


def arn_of(url: str, region: str) -> str:
    """The ARN of a queue by its URL, whose path consists of account and name."""
    account, _, name = urlsplit(url).path.rstrip("/").rpartition("/")
    return f"arn:{partition_of(region)}:sqs:{region}:{account.rpartition('/')[2]}:{name}"


def endpoint_of(url: str) -> str:
    """Where the calls for a queue with this URL go: its scheme, host and port.

    So a queue is called through the endpoint that its URL names, such as one in a VPC.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _region_of(host: str) -> str | None:
    """The region in a host name of AWS. The oldest one has none and is in us-east-1."""
    return "us-east-1" if host == _OLDEST_HOST else region_in(host)
