"""Descriptions of webhook senders: where a signature, a time and an id are, and what is signed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, structs

from relay.destinations.webhook_signature import signing_key
from relay.gateway.webhooks.places import check_place

HashName: TypeAlias = Literal["sha1", "sha256", "sha384", "sha512"]

PLACEHOLDERS = ("body", "time", "id", "url", "form")
"""What a signature can cover: see `Signature.signed`."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


class Signature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a sender signs.

    Attributes:
        header: the header with the signature.
        label: the label in front of a signature, such as `v1` or `sha256`; empty if there is none.
        assign: what is between a label and its signature.
        separator: what is between several labelled elements of the header; empty for one element.
        signed: the signed text. `{body}` is the raw body, `{time}` and `{id}` are the values at
            these places, `{url}` is the address as the sender knows it, `{form}` is every field's
            name and value, sorted by name.
        hashes: the hash functions of the HMAC, of which one must match. Empty: the header is the
            secret itself, as GitLab sends it.
        encoding: how the signature is written.
        key: whether the secret's text is the key, or is base64 of it (with or without `whsec_`).
        time: the place of the signed time in seconds since 1970; empty if none is signed.
        tolerance: by how many seconds that time may be off.
        id: the place of a signed id; empty if none is signed.
        body_digest: the place of the body's hexadecimal SHA-256, where the signature covers only
            the address; empty if the body itself is signed.
    """

    header: str
    label: str = ""
    assign: str = "="
    separator: str = ""
    signed: str = "{body}"
    hashes: tuple[HashName, ...] = ("sha256",)
    encoding: Literal["hex", "base64"] = "hex"
    key: Literal["text", "base64"] = "text"
    time: str = ""
    tolerance: float = 300.0
    id: str = ""
    body_digest: str = ""


class Challenge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a sender checks that an address is ours: it wants a value of its request sent back.

    Attributes:
        when: the place that tells such a request from others.
        equals: the value there.
        answer: the place of the value to send back.
        token: for unsigned GET requests: the place of the secret that proves the sender. Empty: the
            request is a signed POST.
    """

    when: str
    equals: str
    answer: str
    token: str = ""


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender of webhooks.

    Attributes:
        signature: how it signs.
        type: the places of the event's type, joined by dots; those without a value are left out.
        id: the place of the id that repeats when a delivery is repeated; empty if there is none.
        secrets: what it signs with. Several during a rotation: any may match. An ARN of AWS Secrets
            Manager or Parameter Store is looked up.
        prefix: what the event's name starts with; empty for the source's own name.
        headers: the headers that the event keeps.
        form_json: the form field that contains the JSON body, if it comes as a form.
        url: the public address of the gateway, for senders that sign it, such as
            `https://hooks.example.com`; empty to take it from the request's Host header.
        challenge: how the sender checks the address, if it does.
    """

    signature: Signature
    type: tuple[str, ...] = ()
    id: str = ""
    secrets: tuple[str, ...] = ()
    prefix: str = ""
    headers: tuple[str, ...] = ()
    form_json: str = ""
    url: str = ""
    challenge: Challenge | None = None


class BadSource(ValueError):
    """The description of a source is wrong. The text says which and how to mend it."""


def read_sources(text: str | bytes, presets: Mapping[str, Source]) -> dict[str, Source]:
    """The sources by name, from a JSON object: `{"stripe": {"secrets": ["whsec_…"]}}`.

    A source starts from the preset that its `preset` names, or from the one of its own name. Its
    other members replace the preset's; those of `signature` one by one.

    Raises:
        BadSource: the text is not such an object, or a source is incomplete or contradicts itself.
    """
    try:
        given = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise BadSource(f"not a JSON object of sources: {error}") from None
    return {name: _read_source(name, members, presets) for name, members in given.items()}


def source_secrets(text: str | bytes) -> list[str]:
    """Every secret in such a table, also in one that has mistakes."""
    try:
        sources = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return []
    found = (source.get("secrets") for source in sources.values())
    lists = (secrets if isinstance(secrets, list) else [secrets] for secrets in found)
    return [one for secrets in lists for one in secrets if isinstance(one, str)]


def _read_source(name: str, members: dict[str, Any], presets: Mapping[str, Source]) -> Source:
    try:
        source = _merged(name, members, presets)
        _check(name, source)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise BadSource(f"source {name!r}: {error}") from None
    return source


def _merged(name: str, members: dict[str, Any], presets: Mapping[str, Source]) -> Source:
    preset = members.pop("preset", None)
    if preset is not None and preset not in presets:
        raise ValueError(f"there is no preset {preset!r}: use one of {', '.join(presets)}")
    start = presets.get(name if preset is None else preset)
    if start is None:
        return msgspec.convert(members, Source)
    changed = structs.asdict(start) | {"signature": structs.asdict(start.signature)}
    if start.challenge:
        changed["challenge"] = structs.asdict(start.challenge)
    signature = members.pop("signature", {})
    if not isinstance(signature, dict):
        raise TypeError("`signature` must be an object")
    return msgspec.convert(
        changed | members | {"signature": changed["signature"] | signature}, Source
    )


def _check(name: str, source: Source) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError("a source's name has lowercase letters, digits and hyphens")
    _check_signature(source.signature)
    for place in (*source.type, *filter(None, (source.id,))):
        check_place(place)
    if source.challenge is not None:
        challenge = source.challenge
        for place in (challenge.when, challenge.answer, *filter(None, (challenge.token,))):
            check_place(place)
    for header in (source.signature.header, *source.headers):
        check_place(f"header:{header}")
    if not source.secrets or not all(secret.strip() for secret in source.secrets):
        raise ValueError("it has no secret: add `secrets`, a list of one or more")
    if source.url and urlsplit(source.url).scheme not in ("http", "https"):
        raise ValueError("`url` must be an http(s) address")


def _check_signature(signature: Signature) -> None:
    used = set(_PLACEHOLDER.findall(signature.signed))
    if unknown := used.difference(PLACEHOLDERS):
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"`signed` names {{{min(unknown)}}}: it can have {known}")
    covers_body = used & {"body", "form"} or signature.body_digest
    if signature.hashes and not covers_body:
        raise ValueError("`signed` does not cover the body: add {body}")
    for name, place in (("time", signature.time), ("id", signature.id)):
        if bool(place) != (name in used) and signature.hashes:
            raise ValueError(f"`{name}` must be the place of the {{{name}}} in `signed`")
        if place:
            check_place(place, labels=True)
    if signature.body_digest:
        check_place(signature.body_digest)
        if not ("url" in used and signature.body_digest.startswith("query:")):
            raise ValueError(
                "`body_digest` must be in the signed address: use query:NAME and {url}"
            )
    if not 0 < signature.tolerance <= 86_400:  # noqa: PLR2004 - a day
        raise ValueError("`tolerance` must be between 0 and 86,400 seconds")


def key_of(secret: str, kind: Literal["text", "base64"]) -> bytes:
    """The HMAC's key.

    Raises:
        ValueError: the secret should be base64 and is not.
    """
    return signing_key(secret) if kind == "base64" else secret.strip().encode()
