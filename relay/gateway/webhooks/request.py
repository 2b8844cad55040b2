"""A webhook request: its headers, its raw body, and the values in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from relay.envelope.checking_parser import scan
from relay.envelope.detection import checked_text
from relay.envelope.opened_envelope import InvalidContent

Encoding: TypeAlias = Literal["json", "form", "text", "base64"]

MAX_FIELDS = 1_000
"""Fields of a form. With more, the form is kept as text."""


@dataclass(frozen=True)
class WebhookRequest:
    """What a sender sent, unverified.

    Attributes:
        headers: by lowercase name.
        body: the raw bytes.
        url: the address as the sender knows it, with its query.
        form_json: the form field whose text is the JSON body. GitHub and Slack send such forms.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str
    form_json: str = ""

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        """The fields of the address's query."""
        try:
            return parse_qs(urlsplit(self.url).query, keep_blank_values=True)
        except ValueError:
            return {}

    @cached_property
    def form(self) -> Mapping[str, list[str]]:
        """The fields of a form; empty if the body is not a readable one."""
        if "x-www-form-urlencoded" not in self.content_type.lower():
            return {}
        try:
            return parse_qs(
                self.body.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_FIELDS,
            )
        except ValueError:
            return {}

    @property
    def content_type(self) -> str:
        """The `Content-Type` header."""
        return self.headers.get("content-type", "")

    @cached_property
    def _json(self) -> tuple[bytes, Any] | None:
        if self.form:
            text = self.form.get(self.form_json, [""])[0].encode() if self.form_json else b""
        else:
            text = self.body
        try:
            text = checked_text(text)
            return text, scan(text.decode()).value
        except InvalidContent:
            return None

    @property
    def json(self) -> bytes | None:
        """The JSON body, byte for byte as it was sent; None if the body is not JSON."""
        return self._json[0] if self._json else None

    @property
    def value(self) -> Any:
        """The parsed JSON body, or the form with one value for each field, or None."""
        if self._json:
            return self._json[1]
        return {name: values[0] for name, values in self.form.items()} or None


def text_of(value: Any) -> str:
    """A text or a number as text; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return value if isinstance(value, str) else repr(value)


def at_path(value: Any, path: str) -> str:
    """The text or number at a dotted path of objects; empty if there is none."""
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return ""
        value = value.get(part)
    return text_of(value)
