"""Shapes: bodies of one structure are one group."""

import pytest

from relay.dlq.claims import shape


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"b":[1,2],"a":{"x":null}}', "{a:{x:null},b:[int]}"),
        (b'[{"a":1},{"a":"s"}]', "[{a:int}|{a:str}]"),
        (b" ", "empty"),
        (b"{", "text"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_bodies_of_one_structure_have_one_shape(body: bytes, expected: str) -> None:
    assert shape(body) == expected
