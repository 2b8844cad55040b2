"""Secrets are removed from every line."""

from __future__ import annotations

import json

import msgspec
import pytest

from relay.output.redaction import Redactor

SECRET = "kQ7+x/5bR0wZ=planted"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"the key {SECRET} is refused", "the key *** is refused"),
        ("https://inn.gs/e/kQ7%2Bx%2F5bR0wZ%3Dplanted", "https://inn.gs/e/***"),
        ("POST http://10.0.0.5:8288/e/abc 401", "POST http://10.0.0.5:8288/e/*** 401"),
        ("postgres://user:pass@host/db", "postgres://***@host/db"),
        (
            "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=1f&X-Amz-Date=2 failed",
            "GET https://b.s3.amazonaws.com/k?*** failed",
        ),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("signkey-prod-0123abcd is wrong", "signkey-prod-*** is wrong"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("x-amz-security-token:IQoJ/a+b==\nhost:h", "x-amz-security-token:***\nhost:h"),
        ("X-Amz-Security-Token: IQoJ%2Fa, more", "X-Amz-Security-Token: ***, more"),
        (r'{"X-Amz-Security-Token": "IQ\/a"}', '{"X-Amz-Security-Token": "***"}'),
        (r'"x-amz-security-token:IQoJ\nhost"', r'"x-amz-security-token:***\nhost"'),
        ("(b'x-amz-security-token', b'IQoJ')", "(b'x-amz-security-token', b'***')"),
        ("host;x-amz-security-token;x-amz-date", "host;x-amz-security-token;x-amz-date"),
        ("event e-1 of https://example.com/e", "event e-1 of https://example.com/e"),
        ("a/e/b is a path", "a/e/*** is a path"),
        ('{"reason":"http://h/e/key\\"x"}', '{"reason":"http://h/e/***\\"x"}'),
    ],
)
def test_secrets_are_removed(text: str, safe: str) -> None:
    assert Redactor([SECRET]).redact(text) == safe


def test_a_secret_too_short_to_be_one_is_not_redacted() -> None:
    assert Redactor(["test", ""]).redact("a test of nothing") == "a test of nothing"


def test_a_longer_secret_is_redacted_before_one_that_is_part_of_it() -> None:
    assert Redactor(["planted-1", "planted-1-and-more"]).redact("planted-1-and-more") == "***"


@pytest.mark.parametrize("secret", ['pla"nted\\key', "geheimer-schlüssel"])
def test_a_secret_is_redacted_in_its_json_form(secret: str) -> None:
    redactor = Redactor([secret])
    for text in (json.dumps([secret]), msgspec.json.encode([secret]).decode()):
        assert redactor.redact(text) == '["***"]'
        assert redactor.redact_own(text.encode()) == b'["***"]'


def test_its_repr_has_no_secret() -> None:
    assert SECRET not in repr(Redactor([SECRET]))
