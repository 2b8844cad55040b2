"""A secret is removed in every form in which it can come back, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.output.redaction import MOST_LOOKED_UP, Redactor
from relay.output.secret_forms import header_secrets, url_password

SECRET = "kQ7+x/5bR 0wZ=pl\"an&t<ed'\\"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON by msgspec": lambda s: msgspec.json.encode(s).decode(),
    "JSON with escaped slashes": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON with every character escaped": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "JSON with one character escaped": lambda s: json.dumps(s).replace("Q", "\\u0051"),
    "upper-case escapes": lambda s: "".join(f"\\u{ord(c):04X}" for c in s),
    "percent": lambda s: quote(s, safe=""),
    "percent, lower case": lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s, safe="")),
    "every byte as percent": lambda s: "".join(f"%{b:02x}" for b in s.encode()),
    "a form": quote_plus,
    "HTML": html.escape,
    "HTML by number": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "HTML by hexadecimal number": lambda s: "".join(f"&#x{ord(c):X};" for c in s),
    "repr": repr,
    "repr of bytes": lambda s: repr(s.encode()),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "Basic": lambda s: "Basic " + base64.b64encode(f"user:{s}".encode()).decode(),
    "Basic, user of other length": lambda s: base64.b64encode(f"ab:{s}".encode()).decode(),
    "base64 inside more": lambda s: base64.b64encode(f"1234{s}and more".encode()).decode(),
}


@pytest.mark.parametrize("outer", ENCODINGS)
@pytest.mark.parametrize("inner", ENCODINGS)
def test_a_secret_is_removed_in_one_encoding_inside_another(inner: str, outer: str) -> None:
    # With a backslash at its end, what is inside JSON inside HTML has two readings.
    secret = SECRET if inner == "plain" else SECRET.rstrip("\\")
    text = f"before {ENCODINGS[outer](ENCODINGS[inner](secret))} after"
    if outer.startswith(("base64", "Basic")) and inner != "plain":
        return  # what base64 holds is not decoded, only the plain secret is known in it
    redacted = Redactor([secret]).redact(text)
    assert "***" in redacted
    assert redacted.startswith("before")
    assert redacted.endswith("after")
    left = redacted.replace("***", "")
    assert len(left) < len(text) - len(secret) // 2
    assert all(piece not in left for piece in ("kQ7", "5b", "0wZ", "pl%22", "ted"))


@pytest.mark.parametrize(
    "secret", ['pla"nted\\key', "geheimer-schlüssel", "emoji-🔑-key", "a\\\\b\\c\\"]
)
def test_a_json_line_stays_valid(secret: str) -> None:
    redactor = Redactor([secret])
    for text in (
        json.dumps(["\n" + secret + "\\", 1]),
        msgspec.json.encode(["\n" + secret]).decode(),
    ):
        assert "***" in json.loads(redactor.redact(text))[0]
        assert json.loads(redactor.redact_own(text.encode())) == json.loads(redactor.redact(text))


@given(st.text(min_size=6, max_size=12), st.text(max_size=40), st.text(max_size=40))
def test_any_secret_in_a_json_line_is_removed_and_the_line_stays_valid(
    secret: str, before: str, after: str
) -> None:
    line = json.dumps({"a": before + secret + after, "b": [1]})
    found = json.loads(Redactor([secret]).redact_known(line))
    if {*secret} & {*'{"a:, b[1]}0123456789\\u%&\\'} or not secret.strip():
        return  # it may be a part of the syntax, or of an escape
    assert secret not in found["a"]
    assert found["b"] == [1]


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("redis://user:pa55word@host:6379/0", "WRONGPASS pa55word"),
        ("https://hooks.test/services/T0AB12/B0CD34/x9Yz8Wq7", "no such hook: x9Yz8Wq7"),
        (
            "https://hooks.test/services/T0AB12/B0CD34/x9Yz8Wq7",
            "POST /services/T0AB12/B0CD34/x9Yz8Wq7",
        ),
        ("https://hooks.test/in?token=abcdefgh&v=2", "bad token abcdefgh"),
        ("https://hooks.test/in?x=a%2Fb%2Bc9Z", "bad a/b+c9Z"),
        ("user:correct-horse", "password correct-horse"),
        ("Basic dXNlcjpjb3JyZWN0LWhvcnNl", "password correct-horse"),
        ("Bearer abc123def456", "token abc123def456"),
        ("signkey-prod-0123456789abcdef", "0123456789abcdef is unknown"),
        ("whsec_MfKQ9r8GKYqrTwjU", "MfKQ9r8GKYqrTwjU"),
    ],
)
def test_a_part_of_a_secret_is_removed_too(secret: str, text: str) -> None:
    redacted = Redactor([secret]).redact_known(text)
    words = text.split()
    shown = redacted.split()
    assert len(shown) == len(words)
    assert sum(word == "***" for word in shown) == 1


def test_ordinary_words_of_a_url_and_its_host_stay() -> None:
    redactor = Redactor(["https://hooks.test/services/v1/incoming/x9Yz8Wq7?format=message"])
    text = "the services at hooks.test send an incoming message to v1"
    assert redactor.redact(text) == text


def test_only_headers_that_may_be_secret_are_hidden() -> None:
    headers = {"x-api-key": "abcdef", "x-env": "production", "x-tenant": "T-4711-x"}
    assert list(header_secrets(headers.items())) == ["abcdef", "T-4711-x"]


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://user:pa%2Fss@proxy:3128/", {"user:pa%2Fss", "pa%2Fss", "pa/ss"}),
        ("https://token@host/path", {"token"}),
        ("https://host/path?mail=a@b", set()),
    ],
)
def test_the_password_of_a_url(url: str, secrets: set[str]) -> None:
    assert set(url_password(url)) == secrets


@pytest.mark.parametrize("cut", [6, 12, 19])
def test_the_beginning_of_a_secret_where_a_text_was_cut_is_removed(cut: int) -> None:
    secret = "planted-key-of-nineteen"
    redactor = Redactor([secret])
    assert redactor.redact(f"refused: {secret[:cut]}") == "refused: ***"
    assert redactor.redact(f"refused: {secret[:cut]}…") == "refused: ***"


def test_a_secret_too_short_to_be_one_is_hidden_in_urls_only() -> None:
    redactor = Redactor(["test", ""])
    assert redactor.redact_known("POST /e/test: testing failed") == "POST /e/***: testing failed"
    assert redactor.redact_known("POST \\/e\\/test: a test") == "POST \\/e\\/***: a test"


def test_the_last_looked_up_secrets_stay_hidden_after_a_rotation() -> None:
    redactor = Redactor(["from-the-settings"])
    keys = [f"looked-up-{number:03}" for number in range(MOST_LOOKED_UP + 1)]
    for key in keys:
        redactor.register_secret(key)
    assert redactor.redact(" ".join(keys[1:])) == " ".join(["***"] * MOST_LOOKED_UP)
    assert redactor.redact(keys[0]) == keys[0]
    assert redactor.redact("from-the-settings") == "***"
