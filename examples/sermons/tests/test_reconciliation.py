"""The records must not agree when anything is missing, done twice or unexplained."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from sermons.story.reconciliation import ONCE, Reconciliation, reconcile

ALL = Counter({(sermon, effect): 1 for sermon in ("salt", "yeast") for effect in ONCE})
GOOD: dict[str, Any] = {
    "uploaded": ["salt", "yeast"],
    "broken": ["photo"],
    "effects": ALL + Counter({("photo", "failed"): 1}),
    "found": ["salt", "yeast"],
    "dead": Counter({"missing_name": 1}),
    "expected_dead": Counter({"missing_name": 1}),
    "in_queue": 0,
}


def result(**changed: Any) -> Reconciliation:
    return reconcile(**{**GOOD, **changed})


def test_they_agree_when_everything_happened_once() -> None:
    assert result().consistent
    summary = json.loads(result().summary(1.25))
    assert summary["transcribed"] == 2
    assert summary["seconds"] == 1.2


@pytest.mark.parametrize("effect", ONCE)
def test_an_effect_that_did_not_happen_to_one_sermon_shows(effect: str) -> None:
    effects = GOOD["effects"] - Counter({("salt", effect): 1})
    found = result(effects=effects)
    assert (found.done[effect], found.consistent) == (1, False)


@pytest.mark.parametrize(
    "more", [("salt", "transcribed"), ("salt", "announced again"), ("yeast", "embedded")]
)
def test_an_effect_that_happened_twice_shows(more: tuple[str, str]) -> None:
    found = result(effects=GOOD["effects"] + Counter({more: 1}))
    assert (found.twice, found.consistent) == (1, False)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"effects": ALL}, "photo is broken and nobody was told"),
        ({"effects": GOOD["effects"] + Counter({("salt", "failed"): 1})}, "salt failed"),
        ({"effects": GOOD["effects"] + Counter({("lamp", "embedded"): 1})}, "lamp was never upl"),
        ({"dead": Counter()}, "dead letters"),
        ({"dead": Counter({"missing_name": 1, "fails_alone": 1})}, "dead letters"),
    ],
)
def test_what_is_unexplained_is_named(changed: dict[str, Any], sentence: str) -> None:
    found = result(**changed)
    assert not found.consistent
    assert sentence in found.table()


def test_a_sermon_that_cannot_be_found_or_a_message_that_is_left_shows() -> None:
    assert not result(found=["salt"]).consistent
    assert not result(in_queue=1).consistent
