"""The part of CloudWatch Logs Insights that the documented queries use, over JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Line = dict[str, Any]
BUILT_IN = {"@timestamp", "@message"}
_TOKEN = re.compile(r'"[^"]*"|\[[^\]]*\]|[()]|!=|>=|<=|[=<>]|[\w@.]+|,')
_CALL = re.compile(r"(\w+)\(([^)]*)\)(?: as (\w+))?")


class Query:
    """A parsed query: the fields it names, and the lines it selects."""

    def __init__(self, text: str) -> None:
        self.commands = [part.strip().partition(" ")[::2] for part in text.split("|")]
        self.named: set[str] = set()
        self.made: set[str] = set()
        self.conditions = [
            self._condition(rest) for command, rest in self.commands if command == "filter"
        ]
        for command, rest in self.commands:
            if command == "fields":
                self.named |= {name.strip() for name in rest.split(",")}
            elif command == "stats":
                self._stats(rest)
            elif command == "sort":
                self.named.add(rest.split()[0])
            elif command == "limit":
                assert int(rest) > 0
            else:
                assert command == "filter", f"{command} is not understood"

    @property
    def fields(self) -> set[str]:
        """The fields of a line that the query names."""
        return self.named - self.made - BUILT_IN

    def select(self, lines: list[Line]) -> list[Line]:
        """The lines that pass every filter."""
        return [line for line in lines if all(holds(line) for holds in self.conditions)]

    def _stats(self, text: str) -> None:
        calls, _, by = text.partition(" by ")
        for function, argument, alias in _CALL.findall(calls):
            assert function in {"count", "pct", "avg", "max", "min", "sum"}, function
            self.made.add(alias)
            if argument != "*":
                self.named.add(argument.split(",")[0].strip())
        for group in by.split(","):
            if not re.fullmatch(r"bin\(\d+[smh]\)", group.strip()):
                self.named.add(group.strip())

    def _condition(self, text: str) -> Callable[[Line], bool]:
        tokens = _TOKEN.findall(text)
        assert _bare("".join(tokens)) == _bare(text), text
        parse = _Parser(tokens, self.named)
        found = parse.either()
        assert not parse.tokens, f"left over: {parse.tokens}"
        return found


def _bare(text: str) -> str:
    return "".join(text.split())


class _Parser:
    def __init__(self, tokens: list[str], named: set[str]) -> None:
        self.tokens = tokens
        self._named = named

    def either(self) -> Callable[[Line], bool]:
        parts = list(self._parts(self._all, "or"))
        return lambda line: any(part(line) for part in parts)

    def _all(self) -> Callable[[Line], bool]:
        parts = list(self._parts(self._one, "and"))
        return lambda line: all(part(line) for part in parts)

    def _parts(
        self, one: Callable[[], Callable[[Line], bool]], word: str
    ) -> Iterator[Callable[[Line], bool]]:
        yield one()
        while self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            yield one()

    def _one(self) -> Callable[[Line], bool]:
        name = self.tokens.pop(0)
        if name == "ispresent":
            _, name, _ = (self.tokens.pop(0) for _ in range(3))
            self._named.add(name)
            return lambda line: name in line
        self._named.add(name)
        operator, literal = self.tokens.pop(0), json.loads(self.tokens.pop(0))
        return lambda line: _compared(_value(line, name), operator, literal)


def _value(line: Line, name: str) -> Any:
    return json.dumps(line) if name == "@message" else line.get(name)


def _compared(value: Any, operator: str, literal: Any) -> bool:
    if operator == "!=":
        return bool(value != literal)
    if value is None:
        return False
    checks: dict[str, Callable[[], bool]] = {
        "=": lambda: value == literal,
        ">": lambda: value > literal,
        "<": lambda: value < literal,
        "in": lambda: value in literal,
        "like": lambda: literal in value,
    }
    return checks[operator]()
