"""Regions and their partitions, by botocore's own data: ARNs, and the region in a host name."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

DEFAULT = "aws"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: the first field after `arn:`, and the domains of its services' hosts."""

    id: str
    regions: re.Pattern[str]
    domains: tuple[str, ...]


@lru_cache(maxsize=1)
def partitions() -> Sequence[Partition]:
    """All partitions that the installed botocore knows."""
    data: dict[str, Any] = json.loads((files("botocore") / "data" / "partitions.json").read_bytes())
    return tuple(
        Partition(
            raw["id"],
            re.compile(raw["regionRegex"], re.ASCII),
            (raw["outputs"]["dnsSuffix"], raw["outputs"]["dualStackDnsSuffix"]),
        )
        for raw in data["partitions"]
    )


def partition_of(region: str) -> str:
    """The partition of a region; `aws` for a region that botocore does not know."""
    return next((one.id for one in partitions() if one.regions.match(region)), DEFAULT)


def domain_of(region: str) -> str | None:
    """The domain of the services' hosts in a region; None for one that botocore does not know."""
    return next((one.domains[0] for one in partitions() if one.regions.match(region)), None)


def is_aws(host: str) -> bool:
    """Whether the host name is in a domain of AWS."""
    return any(
        host == domain or host.endswith(f".{domain}")
        for one in partitions()
        for domain in one.domains
    )


def region_in(host: str) -> str | None:
    """The region that a host name of AWS contains, as one of its labels; None if there is none.

    Regional, dual-stack, FIPS and VPC endpoints all have it, at different positions.
    """
    if not is_aws(host):
        return None
    return next((label for label in host.split(".") if _is_region(label)), None)


def _is_region(label: str) -> bool:
    return any(one.regions.match(label) for one in partitions())
