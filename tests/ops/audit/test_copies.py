"""An event whose first answer was lost is known by its second copy, and ran for its first one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.ops.audit.conftest import World, found, log_lines


async def test_the_runs_of_a_copy_that_the_log_does_not_know_are_found(
    world: World, tmp_path: Path
) -> None:
    for name in ("media/uploaded", "media/broken"):
        await world.post({"name": name, "id": "a"})
    await world.post({"name": "media/uploaded", "id": "another"})
    (second,) = await world.post({"name": "media/uploaded", "id": "a"})
    (failed,) = await world.post({"name": "media/broken", "id": "a"})
    log = tmp_path / "log"
    log.write_text(log_lines(("media/uploaded", "a", second), ("media/broken", "a", failed)))
    report = await world.audit(logs=[log])
    assert (found(report), report.complete) == ({"completed": 1, "failed": 1}, True)
    assert report.references == 4
    again = await world.audit(logs=[log])
    assert found(again) == found(report)


async def test_a_duplicate_counts_if_the_line_before_it_was_lost(
    world: World, tmp_path: Path
) -> None:
    (reference,) = await world.post({"name": "media/uploaded", "id": "a"})
    line = json.loads(log_lines(("media/uploaded", "a", reference)))
    for event in line.get("events", [line]):
        event["duplicate"] = True
    log = tmp_path / "log"
    log.write_text(json.dumps(line) + "\n")
    assert found(await world.audit(logs=[log])) == {"completed": 1}
