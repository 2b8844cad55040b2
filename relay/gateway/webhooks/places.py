"""Where a value is in a webhook request: `header:NAME`, `query:NAME`, `body:PATH`, `label:NAME`."""

from __future__ import annotations

import re

from relay.gateway.webhooks.request import WebhookRequest, at_path

_PLACE = re.compile(r"(?:header|query|body|label):[^\s:]\S*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def check_place(place: str, *, labels: bool = False) -> None:
    """Check the syntax of a place.

    Args:
        place: the place, such as `header:X-GitHub-Delivery` or `body:data.id`.
        labels: whether a labelled element of the signature header may be named.

    Raises:
        ValueError: it is none.
    """
    kind, _, name = place.partition(":")
    if not _PLACE.fullmatch(place) or (kind == "label" and not labels):
        kinds = "header:NAME, query:NAME or body:PATH" + (" or label:NAME" if labels else "")
        raise ValueError(f"{place!r} is not a place in a request: use {kinds}")
    if kind == "header" and not _HEADER.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")


def read_place(place: str, request: WebhookRequest) -> str:
    """The value at the place; empty if there is none."""
    kind, _, name = place.partition(":")
    if kind == "header":
        return request.headers.get(name.lower(), "")
    if kind == "query":
        return request.query.get(name, [""])[0]
    return at_path(request.value, name) if kind == "body" else ""
