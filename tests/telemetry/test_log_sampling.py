"""Which messages the log tells of: all, problems, or one in so many."""

from __future__ import annotations

import pytest

from relay.model.outcome import Retry
from relay.telemetry.log_observer import message_filter
from tests.telemetry.samples import POISON, message, settled, written


class TestSampling:
    def test_problems_are_always_written(self) -> None:
        facts = [settled(), settled(POISON, []), settled(Retry("no"))]
        assert len(written(*facts, messages="all")) == 3
        assert len(written(*facts, messages="problems")) == 2
        assert len(written(*facts, messages="1/999999")) >= 2

    def test_one_in_n_goes_by_the_message_so_that_each_of_its_receives_is_told_or_none(
        self,
    ) -> None:
        facts = [settled(about=message(f"m-{number}")) for number in range(2_000)]
        once = [line["message_id"] for line in written(*facts, messages="1/10")]
        assert 120 < len(once) < 290
        assert [line["message_id"] for line in written(*facts, messages="1/10")] == once

    @pytest.mark.parametrize("wrong", ["", "some", "1/0", "2/3", "1/", "1/10000000000"])
    def test_anything_else_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="neither"):
            message_filter(wrong)
