"""A rich console for tables and progress that passes on no control character of a text."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from relay.output.terminal import escape

PIPE_WIDTH = 140
"""Columns of output that does not go to a terminal."""


class SafeConsole(Console):
    """Escapes every text that is rendered; styles and cursor movements are rich's own.

    No markup, emoji code or highlighting applies to a text: `[red]` is printed as it is.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(escape(segment.text, "\n"), segment.style)


def open_console(*, err: bool = False, pipe_width: int | None = None) -> SafeConsole:
    """A console on standard output, or standard error.

    `pipe_width` is the columns if that is no terminal, None for rich's default.
    """
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else pipe_width
    return SafeConsole(file=stream, width=width, markup=False, emoji=False, highlight=False)


def safe_text(text: str, style: str = "") -> Text:
    """The text on one line, escaped before rich computes its width."""
    return Text(escape(text), style=style)
