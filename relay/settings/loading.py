"""Loading of settings from the environment and a file, with all mistakes and sources."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from relay.settings.missing import missing
from relay.settings.model import Settings
from relay.settings.reference import expected, names, variable

PREFIX = "RELAY_"
_LINK = re.compile(
    r"RELAY(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)",
    re.ASCII,
)
_KNOWN = {variable(name) for name in Settings.model_fields}
_FIELDS = {str(f.validation_alias): name for name, f in Settings.model_fields.items()}
Source: TypeAlias = Literal["default", "environment", "file", "default, the given value is invalid"]
INVALID: Source = "default, the given value is invalid"
"""The source of a setting whose given value was rejected."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings that were loaded.

    `settings` are always valid: an invalid value is replaced by its default, so that `serve` can
    listen, hold requests and report the `errors`. Nothing else may run if there are any.
    `warnings` name unknown `RELAY_` variables and invalid lines of the file. `sources` has an entry
    for each field.
    """

    settings: Settings
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    sources: Mapping[str, Source]

    @property
    def missing_settings(self) -> tuple[str, ...]:
        """What the destinations still need, as far as it is known despite the mistakes."""
        mistaken = {sentence.split()[0] for sentence in self.errors}
        if mistaken & {"RELAY_DESTINATION", "RELAY_ROUTES"}:
            return ()
        return tuple(s for s in missing(self.settings) if s.split()[0] not in mistaken)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that prevents the relay from running."""
        return (*self.errors, *self.missing_settings)


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> Loaded:
    """Load the settings from `environ` (the process's own if None) and from a file, if given.

    The environment wins over the file. An empty variable counts as not set. Never raises: mistakes
    are in `Loaded.errors`, one sentence each, without the values, which may be secret.
    """
    given = os.environ if environ is None else environ
    from_file, unreadable, ignored = _read(env_file)
    values, sources = _layer({"file": from_file, "environment": given})
    settings, errors, invalid = _validate(values)
    sources |= dict.fromkeys(invalid, INVALID)
    return Loaded(
        settings=settings,
        errors=(*unreadable, *errors),
        warnings=(*ignored, *_unknown({**from_file, **given})),
        sources={name: sources.get(name, "default") for name in names()},
    )


def _read(env_file: Path | None) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """The file's variables, why it cannot be read, and a warning for each invalid line."""
    if env_file is None:
        return {}, (), ()
    try:
        text = env_file.read_bytes()
        # Editors on Windows begin a file with a byte order mark.
        lines = tuple(parse_stream(StringIO(text.decode("utf-8-sig"), newline=None)))
    except OSError as error:
        why = f"cannot be read ({error.strerror}): name a file that exists and may be read"
        return {}, (f"the settings file {env_file} {why}",), ()
    except UnicodeDecodeError as error:
        return {}, (f"the settings file {env_file} {_not_utf8(error)}",), ()
    ignored = tuple(
        f"line {line.original.line} of {env_file} is not NAME=value and was ignored"
        for line in lines
        if line.error
    )
    found = {line.key: line.value for line in lines if line.key and line.value is not None}
    return found, (), ignored


def _not_utf8(error: UnicodeDecodeError) -> str:
    """What is wrong, and where. The byte itself is not shown: it may be one of a secret."""
    line = error.object[: error.start].count(b"\n") + 1
    return f"is not UTF-8 text (line {line}): convert it, such as with `iconv -f latin1 -t utf-8`"


def _layer(
    layers: Mapping[Source, Mapping[str, str]],
) -> tuple[dict[str, Any], dict[str, Source]]:
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, variables in layers.items():
        reader = EnvSettingsSource(Settings)
        # The library would also read a field's name with the prefix where its variable has another.
        reader.env_vars = {
            name.lower(): text
            for name, text in variables.items()
            if text and name.upper() in _KNOWN
        }
        found = {_FIELDS.get(name, name): value for name, value in reader().items()}
        values |= found
        sources |= dict.fromkeys(found, source)
    return values, sources


def _validate(values: Mapping[str, Any]) -> tuple[Settings, list[str], set[str]]:
    """Settings from the valid values; a sentence for each mistake; the fields left out."""
    kept, errors = dict(values), list[str]()
    # Each round leaves out at least one value, and the defaults are valid.
    while True:
        try:
            return Settings(**kept), errors, set(values) - set(kept)
        except ValidationError as error:
            found = dict(_explained(error))
            errors += found.values()
            for name in {name for fields in found for name in fields}:
                kept.pop(name, None)


def _explained(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """The fields of each mistake, by the names that they were given under, and its sentence."""
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "conflicts":
            yield from ((c.fields, c.sentence) for c in detail["ctx"]["conflicts"])
        else:
            name = str(detail["loc"][0])
            yield (name,), f"{variable(name)} must be {expected(name)}"


def _unknown(variables: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(variables):
        upper = name.upper()
        if upper in _KNOWN or not upper.startswith(PREFIX):
            continue
        if not _is_service_link(upper, variables[name]):
            plain = upper.removeprefix(PREFIX)
            near = [plain] if plain in _KNOWN else get_close_matches(upper, _KNOWN, n=1)
            advice = f"did you mean {near[0]}?" if near else "remove it, or see `relay config`"
            yield f"{name} is not a setting of the relay and was ignored: {advice}"


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes set the variable, as it does for a Service whose name starts with `relay`.

    Source: the Kubernetes documentation, "Accessing the Service", environment variables.
    """
    return bool(_LINK.fullmatch(name)) or (name.endswith("_PORT") and "://" in value)
