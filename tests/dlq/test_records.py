"""Records: a message as a line of a file, complete or detected as damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dlq.records import (
    Damaged,
    message_from_fields,
    message_to_fields,
    read_record,
    write_record,
)
from relay.model.message import Attribute, Message
from tests.dlq.queues import message

values = st.one_of(st.text(min_size=1), st.binary(min_size=1))
attributes = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    values.map(lambda v: Attribute("Binary.x" if isinstance(v, bytes) else "String", v)),
    max_size=10,
)


@given(st.binary(), attributes, st.floats(0, 1e10), st.none() | st.text())
def test_a_record_has_the_complete_message(
    body: bytes, given_attributes: dict[str, Attribute], at: float, group: str | None
) -> None:
    before = Message(
        body=body,
        message_id="m",
        queue="q",
        attributes=given_attributes,
        sent_at=at,
        group_id=group,
        receive_count=3,
    )
    line = write_record(message_to_fields(before))
    assert b"\n" not in line
    assert message_from_fields(read_record(line)) == before


def test_a_change_anywhere_in_a_record_is_detected() -> None:
    line = write_record(message_to_fields(message()))
    for i in range(len(line)):
        altered = line[:i] + bytes([line[i] ^ 1]) + line[i + 1 :]
        with pytest.raises(Damaged):
            read_record(altered)
