"""Waves: each group in order, nobody forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from relay.dlq.targets import group_rounds


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=12))
def test_waves_keep_each_group_in_order_and_forget_nobody(groups: list[str | None]) -> None:
    found = list(group_rounds(groups))
    assert sorted(i for wave in found for i in wave) == list(range(len(groups)))
    for wave in found:
        assert len({groups[i] for i in wave}) == len(wave)
    for group in set(groups):
        places = [i for wave in found for i in wave if groups[i] == group]
        assert places == sorted(places)
