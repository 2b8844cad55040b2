r"""Everything that a command prints passes through here, so that no text controls the terminal.

Event names, codes, reasons, ids and bodies come from producers and servers. A terminal obeys the
escape sequences in them: they can rewrite what is on the screen, set its title or fill the
clipboard. So each character that is not printable is shown as its escape, such as `\x1b`, also if
the output is a pipe, because it may be shown later. `relay.output.console` is the same for rich.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, TextIO


def escape(text: str, keep: str = "") -> str:
    """The text with each character that is not printable as its escape, except those in `keep`.

    That is all control and format characters (bidirectional overrides and those of no width too),
    lone surrogates, line breaks, and characters that Unicode does not define.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def escape_text(text: str) -> str:
    """`escape` for a text of several lines: line breaks and tabs stay."""
    return escape(text, "\n\t")


def escape_json(text: str) -> str:
    """JSON with the same characters as JSON's own escapes. Line breaks between values stay.

    Printable characters of all scripts stay as they are.
    """
    if text.isascii() and "\x7f" not in text:
        return text  # encoders escape all other control characters of ASCII
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\r\t" else _in_json(c) for c in text)


def echo(*lines: str, err: bool = False) -> None:
    """Print each text on one line, on standard output or standard error."""
    _print("".join(f"{escape(line)}\n" for line in lines), err=err)


def write(text: str, *, err: bool = False) -> None:
    """Print a text with the line breaks and tabs that it has."""
    _print(escape_text(text), err=err)


def echo_json(value: Any, *, indent: int | None = None, err: bool = False) -> None:
    """Print the value as JSON, in ASCII."""
    _print(f"{escape_json(json.dumps(value, indent=indent))}\n", err=err)


def prompt(question: str) -> str:
    """The line that a person types after the question, which is printed on standard error."""
    import typer  # noqa: PLC0415 - the log uses this module, and needs no command line

    return str(typer.prompt(escape(question), err=True))


def is_terminal(*, err: bool = False) -> bool:
    """Whether standard output, or standard error, is a terminal."""
    return (sys.stderr if err else sys.stdout).isatty()


class LastResort(logging.Handler):
    """Prints what is logged in a process that has set up no log, such as most commands."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record's message on one line, and the traceback of its exception below it."""
        try:
            echo(record.getMessage(), err=True)
            if record.exc_info:
                write(f"{logging.Formatter().formatException(record.exc_info)}\n", err=True)
        except Exception:  # noqa: BLE001 - logging must not raise in the code that logs
            self.handleError(record)


def escape_unencodable(stream: TextIO) -> None:
    """Let the stream write what its encoding cannot hold as an escape, instead of raising."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _print(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if not text.isascii():
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    stream.write(text)
    stream.flush()


def _in_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
