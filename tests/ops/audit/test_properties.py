"""Properties of what an audit reads: nothing that surrounds an event hides it or adds another."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.ops.audit.accepted import Scope, accepted_in
from relay.ops.inngest_api import is_ulid, ulid_time
from tests.fuzz.audit import audit_answers, audit_ledger, audit_log, audit_state
from tests.fuzz.input import joined
from tests.ops.audit.conftest import log_lines

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
EVERYTHING = Scope(since=-1e12, until=1e12)
FIELDS = (
    *("data", "metadata", "page", "cursor", "id", "app", "function", "status", "internal_id"),
    *("name", "received_at", "triggers", "type", "value", "configuration", "cancellations"),
    *("outcome", "events", "reference", "duplicate", "event_id", "event_name", "timestamp"),
    *("Items", "LastEvaluatedKey", "key", "S", "N", "at", "detail"),
)

references = st.text(ALPHABET, min_size=25, max_size=25).map(lambda rest: f"0{rest}")
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | references,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=20,
)
documents = values.map(lambda value: json.dumps(value).encode())
few = settings(max_examples=40, deadline=None)


def _written(reference: str) -> str:
    return log_lines(("media/uploaded", f"id-{reference}", reference)).strip()


@few
@given(
    st.lists(references, unique=True, max_size=8),
    st.lists(
        st.text(st.characters(exclude_characters="\n\r"), max_size=40), min_size=9, max_size=9
    ),
)
def test_each_delivery_is_found_once_whatever_lines_are_between(
    accepted: list[str], between: list[str]
) -> None:
    lines = [between[-1]]
    for reference, other in zip(accepted, between, strict=False):
        lines += [_written(reference), other]
    found = [one.reference for one in accepted_in(lines, EVERYTHING, lambda: None)]
    assert found == accepted


@few
@given(references, st.integers(0, 2**48 - 1))
def test_the_time_of_a_reference_is_that_of_its_first_characters(rest: str, at: int) -> None:
    head, left = "", at
    for _ in range(10):
        left, digit = divmod(left, 32)
        head = ALPHABET[digit] + head
    reference = head + rest[10:]
    assert is_ulid(reference)
    assert ulid_time(reference.lower()) == at / 1_000


@few
@given(st.lists(documents, max_size=5))
def test_any_lines_of_json_are_a_log_and_pages_of_a_ledger(lines: list[bytes]) -> None:
    audit_log(b"\n".join(lines))
    audit_ledger(b"\n".join(lines))


@few
@given(st.sampled_from(b"\x00\x03\x04\x05"), st.tuples(*[documents] * 5))
def test_any_json_is_an_answer(status: int, bodies: tuple[bytes, ...]) -> None:
    audit_answers(joined(bytes([status]), *bodies))


@few
@given(st.integers(0, 255), st.binary(max_size=64), documents)
def test_any_damage_of_a_state_file_is_read_or_refused(
    position: int, damage: bytes, value: bytes
) -> None:
    audit_state(joined(bytes([position]), damage, value))
