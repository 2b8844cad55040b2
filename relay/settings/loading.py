"""Settings from the environment: every mistake at once, every value with its source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from relay.settings.checks import missing
from relay.settings.model import Settings
from relay.settings.reference import expected, names, variable

PREFIX = "RELAY_"
_FIELDS = {str(f.validation_alias): name for name, f in Settings.model_fields.items()}
Source: TypeAlias = Literal["default", "environment", "file", "default, what is given is refused"]
REFUSED: Source = "default, what is given is refused"
"""The source of a setting whose given value has a mistake."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings as they were found.

    `settings` are always valid: a value with a mistake is left at its default, so that `serve` can
    listen, hold and say `mistakes`. Nothing else may run with any. `warnings` name variables that
    look like ours and are not, and lines of the file that say nothing. `sources` has an entry for
    each field.
    """

    settings: Settings
    mistakes: tuple[str, ...]
    warnings: tuple[str, ...]
    sources: Mapping[str, Source]

    @property
    def missing_settings(self) -> tuple[str, ...]:
        """What the destinations still need, where that is known: not of a value with a mistake."""
        mistaken = {sentence.split()[0] for sentence in self.mistakes}
        if mistaken & {"RELAY_DESTINATION", "RELAY_ROUTES"}:
            return ()
        return tuple(s for s in missing(self.settings) if s.split()[0] not in mistaken)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that keeps the relay from running."""
        return (*self.mistakes, *self.missing_settings)


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> Loaded:
    """Read the settings from `environ` (the process's own if None) and from a file, if named.

    The environment wins over the file. An empty variable counts as not set. Never raises: what is
    wrong is in `Loaded.mistakes`, one sentence each, free of the values, which may be secret.
    """
    given = os.environ if environ is None else environ
    filed, unreadable, ignored = _read(env_file)
    values, sources = _layer({"file": filed, "environment": given})
    settings, mistakes, refused = _validate(values)
    sources |= dict.fromkeys(refused, REFUSED)
    return Loaded(
        settings=settings,
        mistakes=(*unreadable, *mistakes),
        warnings=(*ignored, *_unknown({**filed, **given})),
        sources={name: sources.get(name, "default") for name in names()},
    )


def _read(env_file: Path | None) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """The file's variables, why it cannot be read, and which of its lines say nothing."""
    if env_file is None:
        return {}, (), ()
    try:
        with env_file.open(encoding="utf-8") as stream:
            lines = tuple(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return {}, (f"the settings file {env_file} cannot be read ({why}): name one that can",), ()
    ignored = tuple(
        f"line {line.original.line} of {env_file} is no NAME=value and was ignored"
        for line in lines
        if line.error
    )
    found = {line.key: line.value for line in lines if line.key and line.value is not None}
    return found, (), ignored


def _layer(
    layers: Mapping[Source, Mapping[str, str]],
) -> tuple[dict[str, Any], dict[str, Source]]:
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, variables in layers.items():
        reader = EnvSettingsSource(Settings)
        reader.env_vars = {name.lower(): text for name, text in variables.items() if text}
        found = {_FIELDS.get(name, name): value for name, value in reader().items()}
        values |= found
        sources |= dict.fromkeys(found, source)
    return values, sources


def _validate(values: Mapping[str, Any]) -> tuple[Settings, list[str], set[str]]:
    """Settings from the values that are good; a sentence for each mistake, and who is left out."""
    kept, mistakes = dict(values), list[str]()
    # Each round leaves out at least one value; the defaults by themselves are valid.
    while True:
        try:
            return Settings(**kept), mistakes, set(values) - set(kept)
        except ValidationError as error:
            wrong = dict(_explained(error))
            mistakes += wrong.values()
            for name in {name for fields in wrong for name in fields}:
                kept.pop(name, None)


def _explained(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """The fields of each mistake, by the names under which they were given, and its sentence."""
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "relations":
            yield from ((p.fields, p.sentence) for p in detail["ctx"]["problems"])
        else:
            name = str(detail["loc"][0])
            yield (name,), f"{variable(name)} must be {expected(name)}"


def _unknown(variables: Mapping[str, str]) -> Iterator[str]:
    known = {variable(name) for name in Settings.model_fields}
    for name in sorted(variables):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1)
            advice = f"did you mean {near[0]}?" if near else "remove it, or see `relay config`"
            yield f"{name} is no setting of the relay and was ignored: {advice}"
