"""The archive: versions, effects and search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sermons.catalog import Catalog
from sermons.embedding import SIZE


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "sermons.sqlite")
    yield made
    made.close()


def pointing_to(place: int) -> bytes:
    vector = np.zeros(SIZE, dtype=np.float32)
    vector[place] = 1
    return vector.tobytes()


def test_a_newer_upload_replaces_what_was_known_and_an_older_one_does_not(catalog: Catalog) -> None:
    catalog.add("salt", "2")
    catalog.transcribed("salt", "2", "words")
    catalog.add("salt", "1")
    stored = catalog.get("salt")
    assert stored is not None
    assert stored.transcript == "words"
    catalog.add("salt", "3")
    stored = catalog.get("salt")
    assert stored is not None
    assert (stored.version, stored.transcript) == ("3", None)


def test_the_second_announcement_is_not_made_and_is_noted(catalog: Catalog) -> None:
    catalog.add("salt", "1")
    assert catalog.announce("salt", "1", 10)
    assert not catalog.announce("salt", "1", 20)
    stored = catalog.get("salt")
    assert stored is not None
    assert stored.announced_at == 10
    assert catalog.effects() == {("salt", "announced"): 1, ("salt", "announced again"): 1}


def test_a_transcription_that_is_made_twice_shows(catalog: Catalog) -> None:
    catalog.add("salt", "1")
    catalog.transcribed("salt", "1", "words")
    catalog.transcribed("salt", "1", "words")
    assert catalog.effects()["salt", "transcribed"] == 2


def test_search_lists_the_nearest_first_and_nothing_that_has_no_vector(catalog: Catalog) -> None:
    for number, name in enumerate(("salt", "yeast", "lamp")):
        catalog.add(name, "1")
        if name != "lamp":
            catalog.embedded(name, "1", pointing_to(number))
    assert [sermon.id for _, sermon in catalog.search(pointing_to(1))] == ["yeast", "salt"]


def test_the_search_of_an_empty_archive_finds_nothing(catalog: Catalog) -> None:
    assert catalog.search(pointing_to(0)) == []


def test_the_state_names_what_is_done(catalog: Catalog) -> None:
    def state() -> str:
        stored = catalog.get("salt")
        assert stored is not None
        return stored.state

    catalog.add("salt", "1")
    states = [state()]
    catalog.transcoded("salt", "1", 2)
    states.append(state())
    catalog.transcribed("salt", "1", "")
    states.append(state())
    catalog.announce("salt", "1", 1)
    states.append(state())
    catalog.failed("salt", "1", "no audio")
    states.append(state())
    assert states == [
        "uploaded",
        "transcoded",
        "transcoded and transcribed",
        "announced",
        "failed",
    ]


def test_a_sermon_that_failed_and_was_repaired_is_announced(catalog: Catalog) -> None:
    catalog.add("salt", "1")
    catalog.failed("salt", "1", "database or disk is full")
    assert catalog.announce("salt", "1", 1)
    stored = catalog.get("salt")
    assert stored is not None
    assert (stored.state, stored.error) == ("announced", None)
