"""The options from the CDK's context: `-c name=…` on the command line, or JSON in `cdk.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from relay_cdk.checks import check
from relay_cdk.options import BadOption, Options

OTHERS = {"acknowledged-issue-numbers", "cli-telemetry"}
"""The CDK's own values whose names contain neither a colon nor an @, a slash or a dot."""


EXCLUSIVE = (("python", "platform"), ("max_concurrency", "max_pollers"))


def from_context(context: Mapping[str, Any]) -> Options:
    """Options from context values: text on the command line, JSON in a file.

    Raises:
        BadOption: a value is invalid, values contradict each other, or there is no such option.
    """
    names = [f.name for f in fields(Options)]
    for name in context:
        if not re.search("[:@/.]", name) and name not in {*names, *OTHERS}:
            raise BadOption(f"{name} is not an option: {_suggestion(name, names)}")
    given = {name: context[name] for name in names if context.get(name) not in (None, "")}
    for one, other in EXCLUSIVE:
        if {one, other} <= set(given):
            raise BadOption(f"{one} and {other} exclude each other: give one of them")
    defaults = Options()
    options = Options(
        **{name: _converted(name, value, getattr(defaults, name)) for name, value in given.items()}
    )
    check(options)
    return options


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name.lower().replace("-", "_"), names, n=1)
    return f"did you mean {close[0]}?" if close else f"the options are {', '.join(names)}"


def _converted(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return _boolean(name, value)
    if isinstance(default, int):
        return _integer(name, value)
    if isinstance(default, tuple):
        return _words(name, value)
    if isinstance(default, dict):
        return {key: _text(f"{name}: {key}", v) for key, v in _mapping(name, value).items()}
    text = _text(name, value)
    return Path(text) if name == "bundle" else text


def _text(name: str, value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        raise BadOption(f"{name} must be text")
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _words(name: str, value: Any) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadOption(f"{name} must be names separated by commas, or a JSON list of them")
    return tuple(word.strip() for word in words if word.strip())


def _boolean(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise BadOption(f"{name} must be true or false")
    return str(value).lower() == "true"


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\s*\d{1,6}\s*", str(value)):
        raise BadOption(f"{name} must be a whole number")
    return int(value)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise BadOption(f"{name} must be a JSON object") from error
    if not isinstance(found, Mapping):
        raise BadOption(f"{name} must be a JSON object")
    return found
