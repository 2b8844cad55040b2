"""Bento takes part with a program of a version that is new enough; otherwise there is a reason."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from bench import bento as module
from bench.bento import PROGRAM, bento
from bench.server_process import BenchmarkFailed


@pytest.fixture(autouse=True)
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    monkeypatch.delenv(PROGRAM, raising=False)
    return tmp_path / "build"


def program(tmp_path: Path, prints: str) -> str:
    file = tmp_path / "bento"
    file.write_text(f"#!/bin/sh\necho '{prints}'\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_both_setups_run_the_program_with_a_configuration_of_ours(tmp_path: Path) -> None:
    found = bento(program(tmp_path, "Version: 1.20.0"))
    assert [one.name for one in found] == ["Bento, 100 x 4", "Bento, 10 x 1"]
    configs = [yaml.safe_load(Path(one.command[2]).read_text()) for one in found]
    outputs = [one["output"]["http_client"] for one in configs]
    assert [one["batching"]["count"] for one in outputs] == [100, 10]
    assert [one["max_in_flight"] for one in outputs] == [4, 1]
    assert [one["input"]["broker"]["copies"] for one in configs] == [4, 1]
    assert all(one.about.startswith("Bento 1.20.0, ") for one in found)


def test_its_program_is_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchmarkFailed, match="BENCH_BENTO does not have the path"):
        bento()
    monkeypatch.setenv(PROGRAM, program(tmp_path, "Version: v2.0.1"))
    assert len(bento()) == 2


@pytest.mark.parametrize(
    ("prints", "reason"),
    [
        ("Version: 1.19.3", "is version 1.19.3; 1.20 or newer is needed"),
        ("Version: 0.9.9", "is version 0.9.9; 1.20 or newer is needed"),
        ("another program", "names no version"),
    ],
)
def test_another_program_is_refused(tmp_path: Path, prints: str, reason: str) -> None:
    with pytest.raises(BenchmarkFailed, match=reason):
        bento(program(tmp_path, prints))


def test_a_program_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match="cannot be run"):
        bento(str(tmp_path / "nothing"))
