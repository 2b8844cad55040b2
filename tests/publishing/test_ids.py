"""Ids from seeds, as a real Inngest server 1.43.0 gave them (recorded on 2026-11-30)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.publishing.ids import new_seed, parse_seed, ulid

RECORDED = {
    "1743130137367,eii2YKXRVTJPuA==": "01JQDAE4RQF8MBCR55T5AK4KXS 01JQDAE4RQF8MBCR55T5AK4KXT",
    "1743130137367,AAAAAAAA/////w==": "01JQDAE4RQ0000000000000000 01JQDAE4RQ0000000000000001",
    "1,AAAAAAAAAAAAAA==": "00000000010000000000000001 00000000010000000000000002",
    "281474976710655,AAAAAAAAAAAAAA==": "7ZZZZZZZZZ0000000000000001 7ZZZZZZZZZ0000000000000002",
    "+1743130137367,eii2YKXRVTJPuA==": "01JQDAE4RQF8MBCR55T5AK4KXS 01JQDAE4RQF8MBCR55T5AK4KXT",
    "01743130137367,eii2YKXRVTJPuA==": "01JQDAE4RQF8MBCR55T5AK4KXS 01JQDAE4RQF8MBCR55T5AK4KXT",
    "1743130137367,eii2YKXRVTJPuB==": "01JQDAE4RQF8MBCR55T5AK4KXS 01JQDAE4RQF8MBCR55T5AK4KXT",
}
IGNORED = (
    "281474976710656,AAAAAAAAAAAAAA==",
    "0,eii2YKXRVTJPuA==",
    "-1,eii2YKXRVTJPuA==",
    "1743130137367,eii2YKXRVTJPuA",
    "1743130137367,eii2YKXR\tVTJPuA==",
    "1743130137367, eii2YKXRVTJPuA==",
    "1743130137367,eii2YKXRVTJPuA==,x",
    "1743130137367,eii2YKXRVTJPuG5v",
    "1_743_130_137_367,eii2YKXRVTJPuA==",
    "x",
    "",
    "9" * 5_000 + ",eii2YKXRVTJPuA==",
)


@pytest.mark.parametrize("text", list(RECORDED))
def test_a_seed_gives_the_ids_that_the_server_gives(text: str) -> None:
    seed = parse_seed(text)
    assert seed is not None
    assert [seed.id(1), seed.id(2)] == RECORDED[text].split()


@pytest.mark.parametrize("text", IGNORED)
def test_what_the_server_ignores_is_no_seed(text: str) -> None:
    assert parse_seed(text) is None
    assert parse_seed(None) is None


@given(st.text(max_size=60) | st.from_regex(r"[0-9]{0,20},[A-Za-z0-9+/=]{0,20}", fullmatch=True))
def test_any_text_is_a_seed_or_none(text: str) -> None:
    seed = parse_seed(text)
    assert seed is None or len(seed.id(5_000)) == 26


def test_the_ids_of_the_largest_request_differ_where_the_entropy_overflows() -> None:
    seed = parse_seed("1743130137367,AAAAAAAA/////w==")
    assert seed is not None
    assert len({seed.id(position) for position in range(1, 5_001)}) == 5_000


def test_a_new_seed_has_the_time_and_other_entropy_each_time() -> None:
    one, two = new_seed(lambda: 1_743_130_137.367), new_seed(lambda: 1_743_130_137.367)
    assert one.id(1).startswith("01JQDAE4RQ")
    assert one.id(1) != two.id(1)


def test_a_ulid_sorts_by_its_time() -> None:
    assert ulid(1, b"\xff" * 10) < ulid(2, b"\x00" * 10)
