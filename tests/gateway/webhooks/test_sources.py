"""The table of sources: what is accepted, and how each mistake is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.sources import BadSource, read_sources, source_secrets
from tests.mutations import mutations

SIGNATURE = {"header": "x-signature"}
WHOLE = {
    "acme": {
        "secrets": ["one", "two"],
        "type": ["header:X-Type", "body:kind"],
        "id": "body:data.id",
        "prefix": "partner",
        "headers": ["x-type"],
        "form_json": "payload",
        "url": "https://hooks.example.com",
        "signature": {**SIGNATURE, "signed": "{time}.{body}", "time": "header:X-Time"},
        "challenge": {"when": "query:mode", "equals": "check", "answer": "query:challenge"},
    },
    "github-two": {"preset": "github", "secrets": ["three"], "signature": {"tolerance": 10}},
}


def test_a_preset_needs_only_its_secret() -> None:
    found = read_sources('{"stripe": {"secrets": ["whsec_1"]}}', PRESETS)
    assert found["stripe"].signature == PRESETS["stripe"].signature


def test_two_sources_can_start_from_one_preset() -> None:
    found = read_sources(json.dumps(WHOLE), PRESETS)["github-two"]
    assert found.signature.header == "x-hub-signature-256"
    assert found.signature.tolerance == 10


def test_a_whole_table_is_read() -> None:
    assert read_sources(json.dumps(WHOLE), PRESETS)["acme"].prefix == "partner"


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "required field `signature`"),
        ({"signature": SIGNATURE}, "it has no secret: add `secrets`"),
        ({"preset": "stripe", "secrets": []}, "it has no secret"),
        ({"preset": "stripe", "secrets": [" "]}, "it has no secret"),
        ({"preset": "strip", "secrets": ["a"]}, "there is no preset 'strip': use one of"),
        ({"preset": "stripe", "secret": "a"}, "unknown field `secret`"),
        ({"preset": "stripe", "secrets": "a"}, "Expected `array`"),
        ({"preset": "stripe", "secrets": ["a"], "signature": 1}, "`signature` must be an object"),
        ({"preset": "github", "secrets": ["a"], "id": "nowhere"}, "'nowhere' is not a place"),
        ({"preset": "github", "secrets": ["a"], "id": "label:t"}, "'label:t' is not a place"),
        ({"preset": "github", "secrets": ["a"], "headers": ["a b"]}, "not a place"),
        ({"preset": "github", "secrets": ["a"], "headers": ["a(b"]}, "not the name of a header"),
        ({"preset": "github", "secrets": ["a"], "url": "hooks.example.com"}, "an http(s) address"),
        (
            {"secrets": ["a"], "signature": {**SIGNATURE, "signed": "{bodies}"}},
            "`signed` names {bodies}: it can have {body}",
        ),
        (
            {"secrets": ["a"], "signature": {**SIGNATURE, "signed": "constant"}},
            "does not cover the body",
        ),
        (
            {"secrets": ["a"], "signature": {**SIGNATURE, "signed": "{time}{body}"}},
            "`time` must be the place of the {time}",
        ),
        (
            {"secrets": ["a"], "signature": {**SIGNATURE, "time": "header:x-time"}},
            "`time` must be the place of the {time}",
        ),
        (
            {"secrets": ["a"], "signature": {**SIGNATURE, "body_digest": "header:X-Digest"}},
            "`body_digest` must be in the signed address",
        ),
        ({"secrets": ["a"], "signature": {**SIGNATURE, "hashes": ["md5"]}}, "Invalid enum value"),
        ({"secrets": ["a"], "signature": {**SIGNATURE, "tolerance": 0}}, "`tolerance` must be"),
    ],
)
def test_each_mistake_is_named(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadSource) as raised:
        read_sources(json.dumps({"acme": members}), PRESETS)
    assert sentence in str(raised.value)
    assert "'acme'" in str(raised.value)


def test_the_name_of_a_source_is_part_of_an_address() -> None:
    with pytest.raises(BadSource, match="lowercase letters, digits and hyphens"):
        read_sources('{"A/b": {"preset": "stripe", "secrets": ["a"]}}', PRESETS)


def test_every_mutation_is_read_or_refused() -> None:
    for text in mutations(WHOLE):
        try:
            read_sources(text, PRESETS)
        except BadSource as error:
            assert str(error)  # noqa: PT017 - it may also be accepted


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert read_sources(text, PRESETS) is not None
    except BadSource as error:
        assert str(error)  # noqa: PT017 - it may also be accepted


def test_the_secrets_of_a_table_are_known_so_that_no_output_shows_them() -> None:
    assert source_secrets(json.dumps(WHOLE)) == ["one", "two", "three"]
    assert source_secrets('{"a": {"secrets": "bare"}, "b": {"secrets": [1, "x"]}}') == ["bare", "x"]
    for text in mutations(WHOLE):
        assert all(isinstance(secret, str) for secret in source_secrets(text))
