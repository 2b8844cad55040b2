"""The options of a deployment, read from the CDK's context (`-c name=…` or `cdk.json`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from relay.settings.loading import load

PLATFORM = "Python 3.13 running on 64bit Amazon Linux 2023/4.9.0"
"""The end of a platform's ARN, as in `aws elasticbeanstalk list-platform-versions`. A version stays
usable after newer ones are released; managed updates install newer minor versions."""


class BadOption(ValueError):
    """An invalid context value. The text names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one deployment; each is a context value of the same name.

    Attributes:
        name: prefix of the queues, name of the application, the environment and the service. Queue
            names are fixed, because the policies of the two queues refer to each other.
        fifo: create FIFO queues, with high throughput.
        key: `sqs` for keys that SQS manages, `create` for a new customer key, or the ARN of an
            existing one, whose key policy is up to its owner.
        producers: who may send besides the account's own roles: services
            (`events.amazonaws.com`), or the ARNs of principals in other accounts.
        worker: `elasticbeanstalk`, or `none` to run `relay poll` elsewhere.
        vpc: the VPC of the instances; by default the account's default VPC.
        subnets: its subnets for the instances.
        public_addresses: whether instances in `subnets` get public addresses.
        platform: the part after `platform/` of a platform's ARN, or a whole ARN.
        instance_type: the type of the instances.
        architecture: `x86_64` or `arm64`, matching the instance type.
        min_instances: with two, the loss of one is survived.
        max_instances: the orchestrator gets at most 50 requests at once for each instance.
        ledger: whether the worker uses the ledger, which costs two writes and a read an event. The
            table is created in any case; unused it costs nothing.
        inngest_url: a self-hosted server; by default Inngest's Cloud.
        mail: an address for alarms, which has to confirm the subscription.
        settings: additional `RELAY_*` variables for the environment.
        protect: whether CloudFormation refuses to delete the stack. Switch it on after the first
            success: a failed first creation can be repeated only after the deletion of its stack.
        bundle: the zip to run; by default the bundle of the relay that is installed.
    """

    name: str = "relay"
    fifo: bool = False
    key: str = "sqs"
    producers: tuple[str, ...] = ()
    worker: Literal["elasticbeanstalk", "none"] = "elasticbeanstalk"
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    public_addresses: bool = True
    platform: str = PLATFORM
    instance_type: str = "t3.small"
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    min_instances: int = 2
    max_instances: int = 4
    ledger: bool = True
    inngest_url: str | None = None
    mail: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    protect: bool = False
    bundle: Path | None = None

    def __post_init__(self) -> None:
        """Raises `BadOption` for the first invalid option."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{3,39}", self.name):
            raise BadOption("name must be 4 to 40 lowercase letters, digits and hyphens")
        if self.worker not in ("elasticbeanstalk", "none"):
            raise BadOption("worker must be elasticbeanstalk or none")
        if self.architecture not in ("x86_64", "arm64"):
            raise BadOption("architecture must be x86_64 or arm64")
        if self.key not in ("sqs", "create") and not self.key.startswith("arn:"):
            raise BadOption("key must be sqs, create or the ARN of a KMS key")
        if self.vpc and not self.subnets:
            raise BadOption("vpc needs subnets=subnet-1,subnet-2 for the instances")
        if not 1 <= self.min_instances <= self.max_instances:
            raise BadOption("min_instances must be at least 1 and at most max_instances")

    @property
    def queue_name(self) -> str:
        """The main queue's name."""
        return f"{self.name}-events{self._suffix}"

    @property
    def dead_letter_queue_name(self) -> str:
        """The dead-letter queue's name."""
        return f"{self.name}-events-dlq{self._suffix}"

    @property
    def log_group(self) -> str:
        """The audit log's group, below `/aws/elasticbeanstalk`, as the worker tier requires."""
        return f"/aws/elasticbeanstalk/{self.name}/audit"

    @property
    def _suffix(self) -> str:
        return ".fifo" if self.fifo else ""


def from_context(context: Mapping[str, Any]) -> Options:
    """Options from context values: text on the command line, JSON in `cdk.json`.

    Raises:
        BadOption: a value is invalid, or there is no option of that name.
    """
    names = [f.name for f in fields(Options)]
    for name in context:
        # The names of the CDK's own values contain colons, hyphens or an @.
        if re.fullmatch("[A-Za-z_]+", name) and name not in names:
            raise BadOption(f"{name} is not an option: {_suggestion(name, names)}")
    given = {name: context.get(name) for name in names}
    defaults = Options()
    return Options(
        **{
            name: _converted(name, value, getattr(defaults, name))
            for name, value in given.items()
            if value not in (None, "")
        }
    )


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"the options are {', '.join(names)}"


def _converted(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return _boolean(name, value)
    if isinstance(default, int):
        return _integer(name, value)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in value.split(",")) if _is_text(value) else tuple(value)
    if name == "bundle":
        return Path(value)
    if isinstance(default, dict):
        return _settings({k: str(v) for k, v in _mapping(name, value).items()})
    return str(value)


def _settings(given: dict[str, str]) -> dict[str, str]:
    """Refuse variables that the relay would ignore."""
    for sentence in load(given).warnings:
        raise BadOption(f"settings: {sentence}")
    return given


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _boolean(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise BadOption(f"{name} must be true or false")
    return str(value).lower() == "true"


def _integer(name: str, value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise BadOption(f"{name} must be a whole number") from error


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if _is_text(value) else value
    except ValueError as error:
        raise BadOption(f"{name} must be a JSON object") from error
    if not isinstance(found, Mapping):
        raise BadOption(f"{name} must be a JSON object")
    return found
