"""Every destination is in every place that docs/destinations/README.md lists for a new one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from relay.app.destinations.traits import traits_of
from relay.cli import demo
from relay.settings.destination_value_types import Destination
from relay.settings.destinations import DestinationSettings
from relay.settings.loading import load
from relay.settings.missing import missing
from relay.settings.model import Settings
from relay.settings.reference import SECTIONS
from tests.destinations.conformance.conftest import OPTIONAL

ROOT = Path(__file__).parents[2]
NAMES = get_args(Destination)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_requires_is_reported_as_missing(name: str) -> None:
    prefix = f"RELAY_{name.upper().replace('-', '_')}_"
    sentences = missing(Settings.model_validate({"destination": name}))
    assert any(sentence.startswith(prefix) for sentence in sentences)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_traits_with_a_name(name: str) -> None:
    assert traits_of(Settings(), name).name


def test_its_settings_have_a_section() -> None:
    prefixes = {name.replace("-", "_") for name in NAMES} - {"inngest"}
    own = [name for name in DestinationSettings.model_fields if name.startswith(tuple(prefixes))]
    sections = {name for name in own if name in SECTIONS}
    assert {
        name for name in prefixes if any(s.startswith(f"{name}_") for s in sections)
    } == prefixes


PLAIN = {
    "webhook_url": "https://hooks.example.com",
    "webhook_signing_key": "whsec_MQ==",
    "webhook_signing_key_old": "whsec_MQ==",
    "webhook_headers": "x-key: 7",
    "bullmq_url": "redis://redis.example.com",
}
"""Valid values of secrets that have a form."""


def test_a_secret_and_its_secret_form_exclude_each_other() -> None:
    forms = [name for name in Settings.model_fields if name.endswith("_secret")]
    assert forms
    for form in forms:
        variable = f"RELAY_{form.removesuffix('_secret').upper()}"
        plain = PLAIN.get(form.removesuffix("_secret"), "key")
        values = {variable: plain, f"{variable}_SECRET": "relay/key"}
        assert any(f"{variable}_SECRET are both set" in one for one in load(values).problems)


def test_the_demo_emulates_it() -> None:
    assert set(demo.DESTINATIONS) == set(NAMES)


def test_its_library_is_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(OPTIONAL) <= set(project["optional-dependencies"])
    commands = [
        sentence.partition("sqs-relay[")[2].partition("]")[0]
        for name in NAMES
        for sentence in missing(Settings.model_validate({"destination": name}))
        if "sqs-relay[" in sentence
    ]
    assert set(commands) <= set(OPTIONAL)


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_lists_it(name: str) -> None:
    docs = ROOT / "docs"
    table = (docs / "destinations" / "README.md").read_text(encoding="utf-8")
    assert f"| [`{name}`]({name}.md)" in table
    assert f"(destinations/{name}.md)" in (docs / "README.md").read_text(encoding="utf-8")
    assert name == "inngest" or f"`{name}`" in (docs / "commands.md").read_text(encoding="utf-8")
