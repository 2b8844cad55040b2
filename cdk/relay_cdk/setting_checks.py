"""What is wrong with the option `settings`, and with the addresses that become settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import SecretStr

from relay.gateway.webhooks.keys import is_reference
from relay.gateway.webhooks.sources import source_secrets
from relay.settings.clocks import Clocks
from relay.settings.loading import Loaded, load
from relay.settings.model import Settings
from relay.settings.reference import variable
from relay_cdk.gateway_needs import WEBHOOKS
from relay_cdk.options import Options

_ROLE = "its role gives the relay credentials, and these would be in plain text"
WIRED = {
    "AUDIT_LOG_GROUP": "the stack sets it",
    "AWS_ACCESS_KEY_ID": _ROLE,
    "AWS_DEFAULT_REGION": "the stack sets it",
    "AWS_REGION": "the stack's own region is used",
    "AWS_SECRET_ACCESS_KEY": _ROLE,
    "AWS_SESSION_TOKEN": _ROLE,
    "PORT": "the platform expects 8000",
    "RELAY_SERVICE": "use the option name, which the alarms watch too",
    "RELAY_QUEUE_URL": "the stack sets it",
    "RELAY_DLQ_URL": "the stack sets it",
    "RELAY_LEDGER_TABLE": "use the option ledger",
    "RELAY_LOG_FILE": "the CloudWatch agent reads the bundle's file",
    "RELAY_INNGEST_URL": "use the option inngest_url",
}
"""Variables that other options or resources decide, and what to do instead."""

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
SIMILAR = 0.85
"""How similar a variable must be to a setting to be taken for a misspelt one."""

LIMITED = {"elasticbeanstalk": "Elastic Beanstalk", "lambda": "Lambda"}
LIMIT = 4_096
"""What all variables of an environment may take together, in bytes."""

_OF_PLATFORM = {variable(f.name) for f in fields(Clocks) if f.name.startswith(("sqsd_", "nginx_"))}
_OF_QUEUES = {variable(name) for name in ("max_receive_count", "queue_retention", "dlq_retention")}


def setting_problems(options: Options, *, existing_queues: bool) -> Iterator[str]:
    """A sentence for each thing that is wrong. Existing queues have clocks of their own."""
    deployed = _OF_PLATFORM if existing_queues else _OF_PLATFORM | _OF_QUEUES
    for name, value in options.settings.items():
        yield from (f"settings: {sentence}" for sentence in _variable(name, value, deployed))
    yield from _as_a_whole(options)


def _variable(name: str, value: str, deployed: Collection[str]) -> Iterator[str]:
    if not re.fullmatch(NAME, name):
        yield f"{name} is not a variable's name"
    elif "\n" in value:
        yield f"{name} has more than one line, which an environment file cannot hold"
    elif name in WIRED:
        yield f"leave {name} out: {WIRED[name]}"
    elif name in deployed or name.startswith("RELAY_LAMBDA_"):
        yield (
            f"leave {name} out: it must be equal to what the stack configures, which is the default"
        )
    elif name in _plain_keys() and value and not _without_password(name, value):
        yield _secret_instead(name)
    elif name not in _known():
        near = get_close_matches(name.upper(), _known(), n=1, cutoff=SIMILAR)
        if near:
            yield f"{name} is not a setting of the relay: did you mean {near[0]}?"


def _without_password(name: str, value: str) -> bool:
    """Redis in a network of its own often has none, and webhooks may refer to their secrets."""
    if name == WEBHOOKS:
        return all(map(is_reference, source_secrets(value)))
    return name == "RELAY_BULLMQ_URL" and "@" not in value and "password" not in value


def _secret_instead(name: str) -> str:
    reference = f"{name}_SECRET"
    if reference.startswith("RELAY_INNGEST_"):
        return f"{name} would be in plain text in the template: put the key into the stack's secret"
    if name == WEBHOOKS:
        return (
            f"the secrets in {name} would be in plain text in the template: put each into Secrets"
            " Manager, and give its ARN in its place"
        )
    if name == "RELAY_GATEWAY_KEYS":
        return (
            f"{name} would be in plain text in the template: leave it out, and make keys with"
            " `relay gateway key new` in the stack's secret for them"
        )
    if reference in _known():
        return (
            f"{name} would be in plain text in the template: put it into Secrets Manager and set"
            f" {reference} to the secret's ARN"
        )
    return (
        f"{name} would be in plain text in the template: leave it out, and set it from a secret in"
        " the environment's own configuration (aws:elasticbeanstalk:application:environmentsecrets)"
    )


def _as_a_whole(options: Options) -> Iterator[str]:
    """What the relay itself would refuse with the variables that it gets."""
    loaded = with_wired(options)
    needed = () if options.worker == "none" else loaded.missing_settings
    # Libraries and certificates are looked for on the instance, not here.
    needed = tuple(s for s in needed if s.startswith("RELAY_") and "_FILE" not in s)
    for sentence in (*loaded.errors, *loaded.warnings, *needed):
        if sentence.startswith("RELAY_INNGEST_URL"):
            yield sentence.replace("RELAY_INNGEST_URL", "inngest_url", 1)
        else:
            yield f"settings: {sentence}"
    size = sum(len(name) + len(value) + 2 for name, value in options.settings.items())
    if options.worker in LIMITED and size > LIMIT // 2:
        yield (
            f"settings take {size} bytes; {LIMITED[options.worker]} allows {LIMIT} for all"
            " variables, half of which the stack needs for its own"
        )


def with_wired(options: Options) -> Loaded:
    """The relay's settings with what the stack adds to the option `settings`."""
    wired = {"RELAY_INNGEST_EVENT_KEY_SECRET": "set"}
    if options.inngest_url:
        wired |= {
            "RELAY_INNGEST_URL": options.inngest_url,
            "RELAY_INNGEST_SIGNING_KEY_SECRET": "set",
        }
    return load({**wired, **options.settings})


def _known() -> set[str]:
    return {variable(name) for name in Settings.model_fields}


def _plain_keys() -> set[str]:
    """The settings that hold a key or a password itself."""
    return {variable(n) for n, f in Settings.model_fields.items() if _is_secret(f.annotation)}


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
