"""The endpoints of services in the usual cases, without a client of botocore.

To find an endpoint, such a client parses its models of the service and of all services' endpoints.
That takes 10 MB, most of which the process never gives back, and 0.15 s of CPU.
"""

from __future__ import annotations

import os
import re

from relay.aws.configuration import Configuration
from relay.aws.regions import domain_of

GLOBAL_VARIABLE = "AWS_ENDPOINT_URL"

_PREFIXES = {"sqs": "sqs", "dynamodb": "dynamodb", "cloudwatch": "monitoring"}
"""The services whose endpoints are named alike in every region, by botocore's own data."""

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_USUAL = re.compile(rf"https?://{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9/_.-]*)?")
"""URLs that botocore accepts and does not change."""

_LONGEST = 255
"""Characters. botocore refuses a longer host name."""

_VARIANTS = ("use_fips_endpoint", "use_dualstack_endpoint")

_IDS = {
    "secretsmanager": "secrets_manager",
    "stepfunctions": "sfn",
}
"""The ids of services that differ from the names of their clients."""


def service_variable(service: str) -> str:
    """The variable for a service's endpoint, which has the service's id, not the client's name."""
    return f"AWS_ENDPOINT_URL_{_IDS.get(service, service).upper()}"


def ignored() -> bool:
    """Whether the environment says to ignore the endpoints in it and in the profile."""
    return os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"


def usual_endpoint(
    configuration: Configuration, service: str, region: str | None, endpoint: str | None
) -> str | None:
    """The endpoint that a client of botocore has, None where only such a client can tell.

    Those of a profile, FIPS and dual-stack endpoints, and all that botocore may refuse are not
    usual. An endpoint in the environment wins over `endpoint`.
    """
    domain = domain_of(region) if region else None
    if service not in _PREFIXES or domain is None or _is_special(configuration):
        return None
    found = (
        _in_environment(service) or endpoint or f"https://{_PREFIXES[service]}.{region}.{domain}"
    )
    return found if len(found) <= _LONGEST and _USUAL.fullmatch(found) else None


def _is_special(configuration: Configuration) -> bool:
    profile = configuration.get_scoped_config()
    configured = {"endpoint_url", "services", "ignore_configured_endpoint_urls"} & profile.keys()
    return bool(configured) or any(configuration.get_config_variable(name) for name in _VARIANTS)


def _in_environment(service: str) -> str | None:
    if ignored():
        return None
    return os.environ.get(service_variable(service)) or os.environ.get(GLOBAL_VARIABLE)
