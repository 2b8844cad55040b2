"""What becomes a message in a file."""

import io

import pytest

from relay.ops.documents import Document, InputFormat, UnreadableInput, read_documents


def read(text: bytes, form: InputFormat = "auto") -> list[tuple[str, bytes]]:
    return [(found.where, found.body) for found in read_documents(io.BytesIO(text), form)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":1.10}', [("the document", b'{"a":1.10}')]),
        (b'\n {\n "a": 1\n}\n', [("the document", b'{\n "a": 1\n}')]),
        (b'{"a":1}\n\n', [("the document", b'{"a":1}')]),
        (b'{"a":1}\r\n\r\n{"b":2}', [("line 1", b'{"a":1}'), ("line 3", b'{"b":2}')]),
        (b'\xef\xbb\xbf{"a":1}\n{"b":2}\n', [("line 1", b'{"a":1}'), ("line 2", b'{"b":2}')]),
        (b'[{"a": 1.0},\n {"b":2}]', [("element 1", b'{"a": 1.0}'), ("element 2", b'{"b":2}')]),
        (b'[{"a":1},{"b":2}]\n', [("element 1", b'{"a":1}'), ("element 2", b'{"b":2}')]),
        (b"[1]\n[2]\n", [("line 1", b"[1]"), ("line 2", b"[2]")]),
        (b'{"a":1}\n{broken\n', [("line 1", b'{"a":1}'), ("line 2", b"{broken")]),
        (b'{"a":"\\ud800"}', [("the document", b'{"a":"\\ud800"}')]),
        (b'{"a":NaN}\n{"b":2}', [("line 1", b'{"a":NaN}'), ("line 2", b'{"b":2}')]),
        (b"[]", []),
        (b"7", [("the document", b"7")]),
    ],
)
def test_the_form_of_a_file_is_seen(text: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert read(text) == expected


def test_a_file_can_be_one_message_whatever_is_in_it() -> None:
    assert read(b'[1,\n{"x"\n', "whole") == [("the file", b'[1,\n{"x"\n')]


def test_lines_can_be_messages_whatever_is_in_them() -> None:
    assert read(b"[1,\n\n  x \xff\n", "lines") == [("line 1", b"[1,"), ("line 3", b"x \xff")]


@pytest.mark.parametrize("text", [b"", b" \n\n", b"{broken", b"[1,2", b'{"a":\n1}\n{"b":2}'])
def test_what_is_neither_json_nor_json_lines_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableInput):
        read(text)


def test_a_deep_document_is_refused_not_fatal() -> None:
    with pytest.raises(UnreadableInput):
        read(b"[" * 200_000 + b"\n")


def test_a_deep_object_is_a_document_for_whoever_checks_it() -> None:
    text = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
    assert read(text) == [("the document", text)]


def test_an_array_that_cannot_be_taken_apart_may_have_its_elements_on_lines() -> None:
    with pytest.raises(UnreadableInput, match="a line of its own"):
        read(b'[{"a":"\\ud800"}]')


def test_lines_are_read_as_they_are_asked_for() -> None:
    stream = io.BytesIO(b'{"a":1}\n' * 1_000)
    found = read_documents(stream)
    assert next(found) == Document("line 1", b'{"a":1}')
    assert stream.tell() < 100
