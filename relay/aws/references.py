"""References to a queue: by URL, ARN or name, and whether two of them mean the same queue."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from relay.aws.errors import AwsError
from relay.aws.regions import is_aws, partition_of, region_in

_ARN_PARTS = 6
_OLDEST_HOST = "queue.amazonaws.com"
_LOCAL = "localhost"


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


def same_queue(first: str, second: str) -> bool:
    """Whether both references mean the same queue, as far as they say.

    What only one of them says does not tell them apart: a name alone means the queue of that name
    in the region and account of the credentials, which is where the other queue most likely is.
    """
    try:
        one, other = parse_reference(first), parse_reference(second)
    except AwsError:
        return False
    return one.name == other.name and not (
        _differ(one.region, other.region)
        or _differ(_account_of(one), _account_of(other))
        or _differ(_foreign_host(one), _foreign_host(other))
    )


def elsewhere(reference: str, url: str, endpoint: str) -> str | None:
    """Why the queue at this URL and endpoint is not the one that was named; None if it may be.

    An endpoint in the environment wins over the one in the queue's URL. So what names a queue on
    AWS could be sent to an emulator on this machine, and the other way round. A name alone says
    nothing about it.
    """
    named = parse_reference(reference)
    found = parse_reference(url)
    if _differ(named.account, _account_of(found)):
        return f"it is in another account than {url}"
    if named.url is None:
        return None
    queue, called = (urlsplit(one).hostname or "" for one in (url, endpoint))
    if is_aws(queue) and _canonical(called) == _LOCAL:
        return f"it is on AWS, and {endpoint} is this machine"
    if _canonical(queue) == _LOCAL and is_aws(called):
        return f"it is on this machine, and {endpoint} is on AWS"
    return None


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


def _differ(one: str | None, other: str | None) -> bool:
    return bool(one) and bool(other) and one != other


def _account_of(location: QueueLocation) -> str | None:
    if location.url is None:
        return location.account
    return urlsplit(location.url).path.rstrip("/").rpartition("/")[0].rpartition("/")[2]


def _foreign_host(location: QueueLocation) -> str | None:
    """Host and port of a URL that is not one of AWS: an emulator's or a proxy's."""
    if location.url is None:
        return None
    parts = urlsplit(location.url)
    host = (parts.hostname or "").rstrip(".")
    return None if is_aws(host) else f"{_canonical(host)}:{parts.port or parts.scheme}"


def _canonical(host: str) -> str:
    """The host, with one name for this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
    else:
        local = address.is_loopback or address.is_unspecified
    return _LOCAL if local else host
