"""Every kept input passes: what the fuzzer once found stays mended."""

from __future__ import annotations

import pytest

from tests.fuzz import corpus
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_kept_input_breaks_its_parser(name: str) -> None:
    inputs = (*SEEDS[name], *corpus.read(name))
    assert inputs
    for data in inputs:
        TARGETS[name](data)


def test_each_corpus_belongs_to_a_target() -> None:
    assert {path.stem for path in corpus.DIRECTORY.glob("*.jsonl")} <= set(TARGETS)
