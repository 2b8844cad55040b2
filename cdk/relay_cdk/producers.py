"""Who may send to the queue from outside the account: accounts, roles, services, topics, rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from relay_cdk.options import BadOption

KINDS = (
    "an account's 12 digits, a service such as events.amazonaws.com, or the ARN of a role, user,"
    " topic, rule, event bus or bucket"
)
_SERVICE = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?")
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*)"
    r":(?P<account>\d{12}|):(?P<resource>\S+)"
)
_SOURCES = {
    "sns": r"[\w-]{1,256}(\.fifo)?",
    "events": r"(rule|event-bus)/\S+",
    "s3": r"[a-z0-9.-]{3,63}",
}
"""The resources of a service that can send to a queue themselves."""


@dataclass(frozen=True, slots=True)
class Producer:
    """The principal of a policy statement, and what its condition restricts it to.

    Attributes:
        principal: an account's number, an IAM ARN or a service's name.
        service: whether it is a service. A service acts for anybody, so that it always has a
            condition: a `source`, or else this account.
        source: the pattern of `aws:SourceArn`.
        own_account: whether the condition requires this account.
    """

    principal: str
    service: bool = False
    source: str | None = None
    own_account: bool = False


def parsed(text: str) -> Producer:
    """The producer that a value of the option `producers` means.

    Raises:
        BadOption: it is none of the kinds.
    """
    if re.fullmatch(r"\d{12}", text):
        return Producer(text)
    if _SERVICE.fullmatch(text):
        return Producer(text, service=True, own_account=True)
    found = _ARN.fullmatch(text)
    if not found or "*" in text:
        raise BadOption(f"producers: {text} is not {KINDS}")
    service, resource = found["service"], found["resource"]
    if service == "iam" and re.match("(role|user)/.|root$", resource):
        return Producer(text)
    if not re.fullmatch(_SOURCES.get(service, "(?!)"), resource):
        raise BadOption(f"producers: {text} is not {KINDS}")
    # The ARN of a bucket names no account: with it alone, another owner's later bucket could send.
    return Producer(
        f"{service}.amazonaws.com",
        service=True,
        source=_source(text, resource),
        own_account=service == "s3",
    )


def _source(arn: str, resource: str) -> str:
    """The ARN that the service sends as `aws:SourceArn`: for an event bus, those of its rules."""
    kind, _, name = resource.partition("/")
    if kind != "event-bus":
        return arn
    rules = "rule/*" if name == "default" else f"rule/{name}/*"
    return arn.removesuffix(resource) + rules
