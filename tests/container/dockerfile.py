"""The Dockerfile's stages and instructions, and the files that .dockerignore lets through."""

from __future__ import annotations

import json
import shlex
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped] # ships no types

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of the official Python images."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, such as `COPY`, and the rest of its line."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.value)

    @property
    def array(self) -> list[str]:
        """The words of the exec form; ValueError if it is the shell form."""
        words: list[str] = json.loads(self.value)
        return words


@dataclass
class Stage:
    """One stage: its name, its base as written, and its instructions."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction:
        return [one for one in self.instructions if one.name == name][-1]

    def environment(self) -> dict[str, str]:
        """The variables that a container of this stage starts with."""
        found = {"PATH": BASE_PATH}
        for one in self.instructions:
            if one.name == "ENV":
                found |= assigned(one, found)
        return found


def assigned(instruction: Instruction, known: Mapping[str, str]) -> dict[str, str]:
    """The variables of an `ENV` or `ARG`."""
    pairs = (word.partition("=")[::2] for word in instruction.words)
    return {name: string.Template(value).safe_substitute(known) for name, value in pairs}


def stages() -> list[Stage]:
    """The stages in order."""
    found: list[Stage] = []
    with DOCKERFILE.open("rb") as file:
        structure = DockerfileParser(fileobj=file, env_replace=False).structure
    for entry in structure:
        name, value = entry["instruction"], entry["value"]
        if name == "FROM":
            base, _, stage = value.partition(" AS ")
            found.append(Stage(stage, base))
        elif found and name != "COMMENT":
            found[-1].instructions.append(Instruction(name, value))
    return found


def context() -> Iterator[Path]:
    """The files that .dockerignore lets through, relative to the root of the repository."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    for line in lines:
        if line.startswith("!"):
            path = ROOT / line[1:]
            for file in path.rglob("*") if path.is_dir() else (path,):
                parts = file.relative_to(ROOT).parts
                if file.is_file() and not any(fnmatch(p, i) for p in parts for i in ignored):
                    yield file.relative_to(ROOT)
