"""Documentation of the settings: variables, defaults, meanings and what a value must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from relay.settings.destinations import DestinationSettings
from relay.settings.gateway import GatewaySettings
from relay.settings.model import Settings
from relay.settings.value_types import Expected

SECTIONS = {
    "destination": "Destination",
    "queue_url": "Queues",
    "envelope": "Messages",
    "host": "Push mode and its clocks",
    "max_in_flight": "Pull mode",
    "lambda_timeout": "AWS Lambda",
    "service": "Metrics, logs and traces",
    "gateway_keys": "The gateway",
    "content": "Destinations other than Inngest, and routes",
    "step_functions_arn": "Step Functions",
    "temporal_address": "Temporal",
    "prefect_api_url": "Prefect",
    "argo_url": "Argo Workflows",
    "webhook_url": "Webhooks",
    "bullmq_url": "BullMQ",
}
"""The title of each section, by its first setting."""

MASK = "********"


def names() -> list[str]:
    """The settings in the order of the reference: those of single parts of the relay come last."""
    later = {**GatewaySettings.model_fields, **DestinationSettings.model_fields}
    return [*(name for name in Settings.model_fields if name not in later), *later]


def variable(name: str) -> str:
    """The environment variable of a field. The field may be given by its alias too."""
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field else name
    return alias if isinstance(alias, str) else f"RELAY_{name.upper()}"


def expected(name: str) -> str:
    """What a value must be, to complete the sentence "RELAY_X must be …"."""
    field = next(f for n, f in Settings.model_fields.items() if name in (n, f.validation_alias))
    words = [item.words for item in _metadata(field) if isinstance(item, Expected)]
    return words[0] if words else _by_type(field.annotation)


def shown(value: Any) -> str:
    """A value as it would be written in the environment, with secrets masked."""
    if value is None or value == ():
        return ""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    # Not :g, which would write a million with an exponent.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def meaning(name: str) -> str:
    """What the setting does, in one line."""
    return " ".join((Settings.model_fields[name].description or "").split())


def reference() -> str:
    """All settings as Markdown, a table for each section. `docs/settings.md` contains this text."""
    return "\n".join(_reference_lines())


def _reference_lines() -> Iterator[str]:
    for name in names():
        field = Settings.model_fields[name]
        if name in SECTIONS:
            yield from ("", f"### {SECTIONS[name]}", "")
            yield from ("| variable | default | meaning |", "|---|---|---|")
        default = shown(field.default)
        cell = f"`{default}`" if default else "not set"
        choices = _choices(field.annotation)
        values = f" One of {', '.join(f'`{c}`' for c in choices)}." if len(choices) > 1 else ""
        yield f"| `{variable(name)}` | {cell} | {meaning(name)}{values} |"


def _metadata(field: FieldInfo) -> Iterable[Any]:
    # In an optional field they are on the member of the union.
    for member in get_args(field.annotation):
        yield from get_args(member)
    yield from field.metadata


def _by_type(annotation: Any) -> str:
    choices = _choices(annotation)
    if choices:
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    return "true or false" if annotation is bool else "text"


def _choices(annotation: Any) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()
