"""Progress, for people and for logs."""

import json

import pytest

from relay.cli.dlq.output import Progress
from relay.local.clock import ManualClock


def test_progress_is_json_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(0.0)
    with Progress("brought", total=100, clock=clock.time) as progress:
        for done in (10, 20, 30):
            clock.advance(0.6)
            progress.at(done, deleted=done - 1)
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["progress"], told["done"], told["of"], told["deleted"]) == ("brought", 20, 100, 19)
    assert (told["rate"], told["seconds_left"]) == (16.7, 4.8)
