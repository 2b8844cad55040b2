"""What the relay's settings need from a deployment: libraries, permissions and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.aws.secrets import parse_secret
from relay.settings import clocks
from relay.settings.loading import load
from relay.settings.model import Settings
from relay.settings.reference import variable

NEW_SECRET = "create"  # noqa: S105 - a word, no secret
"""The value of a `_SECRET` variable for which the stack creates an empty secret."""

EXTRAS = {"temporal": "temporal", "bullmq": "bullmq"}
"""The extra of `sqs-relay` that a destination needs."""

_SECRET_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")
"""What Secrets Manager appends to a secret's name in its ARN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the settings of one deployment need.

    Attributes:
        inngest: whether events may go to Inngest.
        extras: the extras of `sqs-relay` to install.
        secrets: the names or ARNs of existing secrets in Secrets Manager.
        parameters: the names or ARNs of existing parameters in Parameter Store.
        new_secrets: the variables for which the stack creates secrets.
        payload_buckets: the S3 buckets that are read.
        dead_letter_bucket: the S3 bucket of the bodies that the dead-letter queue has no room for.
        state_machine: the ARN of the state machine, or of a version or alias of it.
        puts_metrics: whether metrics are sent to CloudWatch by requests on every host. A function
            writes them to its log by default.
        stop: seconds that the relay needs for its stop, at most.
    """

    inngest: bool
    extras: tuple[str, ...]
    secrets: tuple[str, ...]
    parameters: tuple[str, ...]
    new_secrets: tuple[str, ...]
    payload_buckets: tuple[str, ...]
    dead_letter_bucket: str | None
    state_machine: str | None
    puts_metrics: bool
    stop: float

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The AWS services, as in `network.MORE_ENDPOINTS`, that not every relay uses."""
        found = {"Parameters": bool(self.parameters), "StepFunctions": bool(self.state_machine)}
        return tuple(name for name, needed in found.items() if needed)


def needs_of(variables: Mapping[str, str]) -> Needs:
    """What a relay with these `RELAY_*` variables needs."""
    settings = load(variables).settings
    references = dict(_references(settings))
    existing = [parse_secret(text) for text in references.values() if text != NEW_SECRET]
    return Needs(
        inngest="inngest" in settings.destinations,
        extras=tuple(_extras(settings)),
        secrets=tuple(place.name for place in existing if not place.parameter),
        parameters=tuple(place.name for place in existing if place.parameter),
        new_secrets=tuple(name for name, text in references.items() if text == NEW_SECRET),
        payload_buckets=tuple(sorted(settings.payload_buckets)),
        dead_letter_bucket=settings.dead_letter_bucket,
        state_machine=settings.step_functions_arn
        if "step-functions" in settings.destinations
        else None,
        puts_metrics=settings.metrics == "cloudwatch",
        stop=settings.drain_deadline + clocks.LAST_STEPS,
    )


def _extras(settings: Settings) -> Iterator[str]:
    yield from (EXTRAS[name] for name in settings.destinations if name in EXTRAS)
    if "otlp" in (settings.metrics, settings.traces):
        yield "otlp"


def _references(settings: Settings) -> Iterator[tuple[str, str]]:
    """The variables that refer to secrets, with the references."""
    for name in type(settings).model_fields:
        reference = getattr(settings, name)
        if name.endswith("_secret") and reference is not None:
            yield variable(name), reference


def secret_names(name: str) -> tuple[str, str]:
    """The construct id and the description of the secret that the stack creates for a variable."""
    if name in _INNGEST:
        return _INNGEST[name]
    bare = name.removeprefix("RELAY_").removesuffix("_SECRET")
    ident = "".join(word.capitalize() for word in bare.split("_"))
    return ident, f"The value of RELAY_{bare}"


EVENT_KEY = "RELAY_INNGEST_EVENT_KEY_SECRET"
SIGNING_KEY = "RELAY_INNGEST_SIGNING_KEY_SECRET"
_INNGEST = {
    EVENT_KEY: ("EventKey", "The orchestrator's event key"),
    SIGNING_KEY: ("SigningKey", "The orchestrator's signing key"),
}


def secret_arn(name: str, prefix: str) -> str:
    """The ARN of a secret by its name or ARN, or a pattern if its random ending is not known.

    `prefix` is what the ARN of a secret in this account and region begins with.
    """
    arn = name if name.startswith("arn:") else prefix + name
    complete = name.startswith("arn:") and _SECRET_SUFFIX.fullmatch(name[-7:])
    return arn if complete else f"{arn}-??????"


def parameter_arn(name: str, prefix: str) -> str:
    """The ARN of a parameter by its name or ARN; `prefix` is as in `secret_arn`."""
    return name if name.startswith("arn:") else prefix + name.lstrip("/")
