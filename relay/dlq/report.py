"""A report of dead letters as one HTML file, to hand to somebody else.

It loads nothing and runs no script. Producers' texts are escaped, and what is not printable is
shown as its escape; secrets are redacted as in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from html import escape as escape_html

from relay.dlq.command_line import command_line, group_filter
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import Skipped
from relay.dlq.snapshot import Head
from relay.dlq.statistics import NO_EVENT, Group, Statistics, id_of, name_of
from relay.model.encoded_body import decode_body
from relay.output.redaction import Redactor
from relay.output.terminal import escape_text
from relay.output.times import format_duration, format_relative, format_time

SAMPLES = 3
"""Dead letters of each group that are shown whole."""

MOST_GROUPS = 200
"""Groups that are shown."""

MOST_TEXT = 4_000
"""Characters of a body or a reason that are shown."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .3rem .6rem; text-align: left; }
td.n, th.n { text-align: right; }
td { overflow-wrap: anywhere; }
section { border-top: 2px solid #8888; margin-top: 2rem; }
pre { background: #8882; overflow-x: auto; padding: .6rem; white-space: pre-wrap; }
pre, td { overflow-wrap: anywhere; }
.fails { color: #b00020; font-weight: 600; }
@media (prefers-color-scheme: dark) { .fails { color: #ff8a80; } }
"""


@dataclass(slots=True)
class _Samples:
    shown: list[DeadLetter] = field(default_factory=list)
    failing: int = 0


class Report:
    """Collects dead letters, and writes the report.

    Args:
        head: where and when they were read.
        failing: whether a dead letter would only be dead-lettered again.
        redactor: hides secrets.
        now: epoch seconds.
    """

    def __init__(
        self,
        head: Head,
        failing: Callable[[DeadLetter], Awaitable[Skipped | None]],
        redactor: Redactor,
        now: float,
    ) -> None:
        self.statistics = Statistics(retention=head.retention, fifo=head.fifo, now=now)
        self._head = head
        self._failing = failing
        self._redactor = redactor
        self._now = now
        self._samples: dict[tuple[str, str], _Samples] = {}

    async def add(self, dead_letter: DeadLetter) -> None:
        """Add one more."""
        self.statistics.add(dead_letter)
        key = (name_of(dead_letter), dead_letter.code)
        if key not in self._samples and len(self._samples) >= MOST_GROUPS:
            return
        samples = self._samples.setdefault(key, _Samples())
        samples.failing += await self._failing(dead_letter) is not None
        if len(samples.shown) < SAMPLES:
            samples.shown.append(dead_letter)

    def html(self) -> str:
        """The report, a whole document."""
        queue = self._text(self._head.queue)
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return "\n".join(
            (
                '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>Dead letters in {queue}</title>\n<style>{_STYLE}</style>\n</head>",
                f"<body>\n<h1>Dead letters in {queue}</h1>",
                *self._summary(),
                *self._overview(),
                *self._sections(),
                "</body>\n</html>\n",
            )
        )

    def _summary(self) -> Iterator[str]:
        statistics, first = self.statistics, self.statistics.first_expiry
        failing = sum(samples.failing for samples in self._samples.values())
        yield "<ul>"
        yield f"<li>{statistics.count} messages with {statistics.events} pending events</li>"
        if failing:
            yield f'<li class="fails">{failing} would only be dead-lettered again as they are</li>'
        yield f"<li>read {self._time(self._head.taken_at)}</li>"
        if statistics.oldest is not None:
            yield f"<li>the oldest was first sent {self._time(statistics.oldest)}</li>"
        if statistics.expired:
            yield f"<li>SQS has deleted {statistics.expired} of them since</li>"
        if first is not None:
            earliest = "" if first.exact else " at the earliest"
            yield f"<li>SQS deletes the first{earliest} {self._time(first.at)}</li>"
        retention = format_duration(self._head.retention)
        yield f"<li>the queue keeps messages for {retention}; all times are in UTC</li>\n</ul>"

    def _overview(self) -> Iterator[str]:
        yield "<h2>Groups</h2>\n<table>\n<thead><tr><th>event</th><th>code</th>"
        yield '<th class="n">messages</th><th>oldest</th><th>newest</th></tr></thead>\n<tbody>'
        for number, ((name, code), group) in enumerate(self._groups()):
            link = f'<a href="#group-{number}">{self._text(name)}</a>'
            times = f"<td>{self._time(group.oldest)}</td><td>{self._time(group.newest)}</td>"
            counted = f'<td class="n">{group.count}</td>'
            yield f"<tr><td>{link}</td><td>{self._text(code)}</td>{counted}{times}</tr>"
        yield "</tbody>\n</table>"
        more = len(self.statistics.groups) - len(self._groups())
        if more > 0:
            yield f"<p>and {more} more groups</p>"

    def _groups(self) -> list[tuple[tuple[str, str], Group]]:
        return [item for item in self.statistics.largest() if item[0] in self._samples]

    def _sections(self) -> Iterator[str]:
        for number, ((name, code), group) in enumerate(self._groups()):
            samples = self._samples[name, code]
            title = f"{self._text(name)}: {self._text(code)}"
            yield f'<section id="group-{number}">\n<h2>{title}</h2>'
            yield f"<p>{group.count} messages. The reason of one: {self._text(group.reason)}</p>"
            if samples.failing:
                of = "all" if samples.failing == group.count else str(samples.failing)
                yield (
                    f'<p class="fails">The relay would reject {of} of them again: a redrive leaves'
                    " them unless they are changed with --edit.</p>"
                )
            yield "<h3>Commands</h3>"
            for what, line in self._commands(name, code):
                yield f"<p>{what}</p>\n<pre>{self._text(line)}</pre>"
            yield f"<h3>{len(samples.shown)} of {group.count}</h3>"
            for dead_letter in samples.shown:
                yield from self._sample(dead_letter)
            yield "</section>"

    def _commands(self, name: str, code: str) -> Iterator[tuple[str, str]]:
        chosen = group_filter(None if name == NO_EVENT else name, code)
        dlq = {"dlq": self._head.queue}
        canary = {**dlq, "canary": 5, "yes": True}
        yield "List them:", command_line("list", chosen, dlq)
        yield "See what a redrive would do:", command_line("redrive", chosen, dlq)
        yield "Redrive them, a canary first:", command_line("redrive", chosen, canary)
        yield "Delete them, after a backup:", command_line("drop", chosen, dlq)

    def _sample(self, dead_letter: DeadLetter) -> Iterator[str]:
        id_, message_id = id_of(dead_letter), dead_letter.message.message_id
        yield f"<h4>{self._text(id_)}</h4>\n<p>{self._text(dead_letter.reason)}</p>\n<ul>"
        yield f"<li>message {self._text(message_id)} in this queue</li>"
        yield f"<li>first sent {self._time(dead_letter.first_sent_at)}</li>"
        yield f"<li>from {self._text(dead_letter.source or '(unknown)')}</li>"
        yield f"<li>dead-lettered {dead_letter.hops} times</li>\n</ul>"
        yield f"<p>Body, {len(dead_letter.message.body)} bytes:</p>"
        yield f"<pre>{self._text(_body(dead_letter))}</pre>"

    def _text(self, text: str) -> str:
        shown = escape_text(self._redactor.redact(text))
        if len(shown) > MOST_TEXT:
            shown = f"{shown[:MOST_TEXT]}…"
        return escape_html(shown)

    def _time(self, at: float | None) -> str:
        if at is None:
            return "-"
        return f"{format_time(at)} ({format_relative(at, self._now)})"


def _body(dead_letter: DeadLetter) -> str:
    encoding = dead_letter.origin.encoding if dead_letter.origin else None
    try:
        body = decode_body(dead_letter.message.body, encoding)
    except ValueError:
        body = dead_letter.message.body
    return body.decode("utf-8", "replace")
