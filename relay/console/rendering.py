"""Renders the pages: the templates, and how values are written in them.

Every value passes through `visible` and is then escaped for HTML, whatever the template says:
names, codes, reasons, ids and bodies come from producers and servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from relay.console.access import FORM_TOKEN, Access, Refused
from relay.output.terminal import escape_text
from relay.output.times import format_duration, format_time
from relay.version import version

PAGES = (
    ("now", "/", "Now"),
    ("dead_letters", "/dead-letters", "Dead letters"),
    ("history", "/history", "History"),
    ("event", "/event", "Event"),
    ("audit", "/audit", "Audit"),
    ("doctor", "/doctor", "Doctor"),
)
"""The navigation: the name of each page, its path and its title."""


NOTHING = "\N{EN DASH}"
"""Written where there is no value."""


LONG = 3e9
"""Seconds, a hundred years: a longer duration follows from a time that makes no sense."""


class Renderer:
    """Makes responses of templates.

    Args:
        access: the rules of the console: its prefix, its mode, the token of its forms.
        queue: the name of the queue that it is about, if one is configured.
        pages: the navigation.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        access: Access,
        *,
        queue: str | None = None,
        pages: tuple[tuple[str, str, str], ...] = PAGES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._clock = clock
        self._environment = _environment()
        self._environment.filters["ago"] = self._ago
        self._environment.filters["until"] = self._until
        self._environment.globals |= {
            "access": access,
            "form_token_field": FORM_TOKEN,
            "link": self.link,
            "pages": pages,
            "queue": queue,
            "version": version(),
            "without": _without,
        }

    def link(self, path: str, **query: Any) -> str:
        """The address of a page; parameters without a value are left out."""
        given = {name: value for name, value in query.items() if value not in (None, "", ())}
        return f"{self._access.prefix}{path}{'?' if given else ''}{urlencode(given, doseq=True)}"

    def text(self, template: str, **values: Any) -> str:
        """The rendered template."""
        return self._environment.get_template(template).render(
            {**values, "now": self._clock(), "form_token": self._access.form_token}
        )

    def page(self, template: str, page: str, *, status: int = 200, **values: Any) -> Response:
        """A page. `page` is its name in the navigation."""
        return HTMLResponse(self.text(template, page=page, **values), status_code=status)

    def refuse(self, _request: Request, refused: Refused) -> Response:
        """The page of a refusal."""
        return self.page(
            "refused.html",
            "",
            status=refused.status,
            code=refused.code,
            sentence=refused.sentence,
            title=HTTPStatus(refused.status).phrase,
            sign_in=refused.status == HTTPStatus.UNAUTHORIZED,
        )

    def _ago(self, at: float | None) -> str:
        return NOTHING if at is None else f"{duration(max(0.0, self._clock() - at))} ago"

    def _until(self, at: float | None) -> str:
        if at is None:
            return NOTHING
        left = at - self._clock()
        return f"in {duration(left)}" if left > 0 else "at any moment"


def _without(parameters: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if key != name}


def visible(value: Any) -> Any:
    """A text with its control and format characters as escapes; any other value unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return escape_text(value)
    return value


def count(value: float | None, digits: int = 0) -> str:
    """`12,345`, or a dash."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def plural(number: float, singular: str, plural_form: str | None = None) -> str:
    """`1 message`, `2,000 messages`."""
    return f"{number:,} {singular if number == 1 else plural_form or f'{singular}s'}"


def duration(seconds: float | None) -> str:
    """`3.2 d`, `41 min`, `12 s`, `85 ms`, or a dash."""
    if seconds is None:
        return NOTHING
    if seconds > LONG:
        return f"{seconds / 86_400:.1e} d"
    if 0 < seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    return format_duration(seconds)


def cut(text: str, width: int) -> str:
    """The beginning of a text."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def oneline(text: str) -> str:
    """The text with each run of white space as one space."""
    return " ".join(text.split())


def iso(at: float) -> str:
    """A time for machines; empty if no calendar has it."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "count": count,
    "cut": cut,
    "duration": duration,
    "iso": iso,
    "oneline": oneline,
    "plural": plural,
    "time": format_time,
}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("relay.console"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment
