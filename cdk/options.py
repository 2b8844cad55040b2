"""What a deployment chooses, read from the CDK's context (`-c name=…` or `cdk.json`)."""

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
"""A platform as `aws elasticbeanstalk list-platform-versions` ends its ARNs. A version stays usable
when newer ones are out; managed updates take the environment onward within its minor versions."""
BUNDLE = Path(__file__).parents[1] / "dist" / "relay.zip"


class BadOption(ValueError):
    """A context value that no deployment can be made from; the sentence names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of one deployment; each is a context value of the same name.

    Attributes:
        name: prefix of the queues, name of the application, the environment and the service. Queue
            names are fixed, because the two queues' policies point at each other.
        fifo: make FIFO queues, of the high-throughput kind.
        key: `sqs` for keys that SQS manages, `create` for a customer key, or the ARN of one. Of a
            key that is not made here, the key policy is its owner's business.
        producers: who besides the account's own roles may send: services
            (`events.amazonaws.com`), or the ARNs of principals in other accounts.
        worker: `elasticbeanstalk`, or `none` for those who run `relay poll` elsewhere.
        vpc: the VPC of the instances; none means the account's default VPC.
        subnets: its subnets for the instances.
        public_addresses: whether instances in `subnets` get public addresses.
        platform: what follows `platform/` in a platform's ARN, or a whole ARN.
        instance_type: the type of the instances.
        architecture: `x86_64` or `arm64`, as the instance type wants it.
        min_instances: two survive the loss of one.
        max_instances: this times fifty connections is the most that the orchestrator sees at once.
        ledger: whether the worker keeps the ledger, which costs two writes and a read an event. The
            table is made either way; unused it costs nothing.
        inngest_url: a server of one's own; none means Inngest's Cloud.
        mail: an address that alarms are sent to, after it has confirmed.
        settings: more `RELAY_*` variables for the environment.
        bundle: the zip that `make bundle` wrote.
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
    bundle: Path = BUNDLE

    def __post_init__(self) -> None:
        """Raises `BadOption` for the first choice that cannot be."""
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
        """Where the audit log goes: below `/aws/elasticbeanstalk`, as the worker tier demands."""
        return f"/aws/elasticbeanstalk/{self.name}/audit"

    @property
    def _suffix(self) -> str:
        return ".fifo" if self.fifo else ""


def from_context(context: Mapping[str, Any]) -> Options:
    """Options from context values, which are text on the command line and JSON in `cdk.json`.

    Raises:
        BadOption: a value is not what it must be, or there is no option of its name.
    """
    names = [f.name for f in fields(Options)]
    for name in context:
        # The CDK's own values have colons, hyphens or an @ in their names.
        if re.fullmatch("[A-Za-z_]+", name) and name not in names:
            raise BadOption(f"{name} is no option: {_advice(name, names)}")
    given = {name: context.get(name) for name in names}
    defaults = Options()
    return Options(
        **{
            name: _converted(name, value, getattr(defaults, name))
            for name, value in given.items()
            if value not in (None, "")
        }
    )


def _advice(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


def _converted(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return _truth(name, value)
    if isinstance(default, int):
        return _whole(name, value)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in value.split(",")) if _text(value) else tuple(value)
    if isinstance(default, Path):
        return Path(value)
    if isinstance(default, dict):
        return _settings({k: str(v) for k, v in _mapping(name, value).items()})
    return str(value)


def _settings(given: dict[str, str]) -> dict[str, str]:
    """Refuse variables that the relay would ignore on the instances."""
    for sentence in load(given).warnings:
        raise BadOption(f"settings: {sentence}")
    return given


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _truth(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise BadOption(f"{name} must be true or false")
    return str(value).lower() == "true"


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise BadOption(f"{name} must be a whole number") from error


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if _text(value) else value
    except ValueError as error:
        raise BadOption(f"{name} must be a JSON object") from error
    if not isinstance(found, Mapping):
        raise BadOption(f"{name} must be a JSON object")
    return found
