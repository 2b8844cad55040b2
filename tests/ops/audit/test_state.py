"""The file of an audit: of one audit, for one process, and never taken for what it is not."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from relay.ops.audit.accepted import Accepted
from relay.ops.audit.state import AuditState, Looked, Run, StateConflict

OPTIONS = {"names": ["a"], "since": "2h"}
REFERENCE = "01M8NY0AAMK38GQM6KRZ2K7000"


def filled(path: Path) -> Path:
    with AuditState(path, OPTIONS, {"since": 1.0}) as state:
        state.add([Accepted(REFERENCE, "a/b", "e-1", 5.0)], place="here")
        runs = [Run("r1", "f", "completed")]
        state.looked_up(
            [Looked(Accepted(REFERENCE, "a/b", "e-1", 5.0), 9.0, stored=True, runs=runs)]
        )
    return path


def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path) -> None:
    with AuditState(filled(tmp_path / "s"), OPTIONS, {"since": 2.0}) as state:
        (event,) = state.events()
        assert (event.name, event.id, event.at, event.looked_at) == ("a/b", "e-1", 5.0, 9.0)
        assert event.runs == (Run("r1", "f", "completed"),)
        assert (state.value("place"), state.count()) == ("here", (1, 1))
        assert state.fixed == {"since": 1.0}


def test_a_known_event_is_not_added_again(tmp_path: Path) -> None:
    with AuditState(filled(tmp_path / "s"), OPTIONS, {}) as state:
        state.add([Accepted(REFERENCE, "other", "other", 7.0)])
        assert (state.count(), state.pending(10)) == ((1, 1), [])


def test_only_the_user_may_read_it(tmp_path: Path) -> None:
    assert filled(tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_other_options_are_a_conflict_that_names_them(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    with pytest.raises(StateConflict, match=r"other options \(since\)"):
        AuditState(tmp_path / "s", OPTIONS | {"since": "3h"}, {})


def test_two_processes_cannot_use_it_at_once(tmp_path: Path) -> None:
    with AuditState(tmp_path / "s", OPTIONS, {}) as state:
        state.add([Accepted(REFERENCE)])
        with pytest.raises(StateConflict, match="another process"):
            AuditState(tmp_path / "s", OPTIONS, {})


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s")) as other:
        other.execute("CREATE TABLE mine (x)")
    before = (tmp_path / "s").read_bytes()
    with pytest.raises(StateConflict, match="not a state file"):
        AuditState(tmp_path / "s", OPTIONS, {})
    assert (tmp_path / "s").read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("these are my notes\n" * 100)
    with pytest.raises(StateConflict, match="not a state file"):
        AuditState(tmp_path / "s", OPTIONS, {})
    assert (tmp_path / "s").read_text() == "these are my notes\n" * 100


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_a_conflict_or_is_read(tmp_path: Path, seed: int) -> None:
    path, choice = filled(tmp_path / "s"), random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(choice.choice([1, 10, 500])):
        content[choice.randrange(len(content))] = choice.randrange(256)
    path.write_bytes(content[: choice.choice([len(content), choice.randrange(len(content))])])
    with suppress(StateConflict, OSError), AuditState(path, OPTIONS, {}) as state:
        state.pending(10)
        list(state.events())
        state.count()
        state.forget_unfinished()
