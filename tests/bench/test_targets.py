"""Targets follow from the figures, and a miss has its reason beside it."""

from __future__ import annotations

from typing import Any

from bench.reasons import UNKNOWN
from bench.tables import SECTIONS
from bench.targets import Target, targets


def figures(cpu: float, peak: float = 100.0, connections: float = 0) -> dict[str, Any]:
    return {"cpu": cpu, "peak": peak, "connections": connections, "requests": 0.2, "posts": 0.01}


def by_name(results: dict[str, Any]) -> dict[str, Target]:
    workloads = {"small": "small events", "saturation": "many events"}
    return {one.name: one for one in targets({"workloads": workloads, **results})}


BOTH = {
    "relay poll": figures(80.0, peak=90.0),
    "Bento, 100 x 4": figures(100.0, peak=200.0),
    "Bento, 10 x 1": figures(400.0, peak=100.0),
}


def test_the_better_setup_of_bento_counts_for_each_figure() -> None:
    found = by_name({"pull": {"small": BOTH, "saturation": {"relay poll": figures(1.0)}}})
    cpu = found["pull, small events: CPU against Bento"]
    peak = found["pull, small events: peak memory against Bento"]
    assert (cpu.found, cpu.met, cpu.reason) == (0.8, True, "")
    assert (peak.found, peak.met) == (0.9, False)
    assert peak.reason != UNKNOWN


def test_tls_is_compared_with_the_plain_row_of_the_same_run() -> None:
    plain = {"small": {"relay poll": figures(100.0)}, "saturation": {"relay poll": figures(1.0)}}
    tls = {"small": {"relay poll": figures(120.0, connections=17)}}
    found = by_name({"pull": plain, "tls": tls})
    assert found["TLS, small events: CPU against plain"].found == 1.2
    assert found["TLS, small events: CPU against plain"].met
    assert not found["TLS, small events: connections"].met


def test_a_run_of_one_part_has_only_its_targets() -> None:
    found = by_name({"start": {"relay --help": 0.3, "relay poll": 0.8}})
    assert [one.met for one in found.values()] == [False, True]


def test_a_second_process_needs_a_cpu_of_its_own_to_be_faster() -> None:
    rows = [
        {"processes": 1, "cpu": 100.0, "rate": 1_000.0},
        {"processes": 2, "cpu": 104.0, "rate": 1_900.0},
    ]
    one = by_name({"growth": {"processes": {"cpus": 1, "rows": rows}}})
    two = by_name({"growth": {"processes": {"cpus": 2, "rows": rows}}})
    assert [each.met for each in one.values()] == [True]
    assert [each.met for each in two.values()] == [True, True]
    assert by_name({"growth": {"processes": {"skipped": "no setting"}}}) == {}


def test_a_miss_is_shown_with_its_reason() -> None:
    missed = {"name": "x", "found": 2.0, "limit": 1.0, "unit": "x", "met": False, "reason": "why"}
    rows = SECTIONS["targets"]({"targets": [missed, missed | {"met": True, "reason": ""}]})[0].rows
    assert [row[-1] for row in rows] == ["**missed**: why", "met"]
