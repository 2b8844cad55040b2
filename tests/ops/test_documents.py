"""How a file is split into documents, each the body of one message."""

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
def test_the_format_of_a_file_is_detected(text: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert read(text) == expected


def test_a_whole_file_can_be_one_message_whatever_it_contains() -> None:
    assert read(b'[1,\n{"x"\n', "whole") == [("the file", b'[1,\n{"x"\n')]


def test_lines_can_be_messages_whatever_they_contain() -> None:
    assert read(b"[1,\n\n  x \xff\n", "lines") == [("line 1", b"[1,"), ("line 3", b"x \xff")]


@pytest.mark.parametrize("text", [b"", b" \n\n", b"{broken", b"[1,2", b'{"a":\n1}\n{"b":2}'])
def test_what_is_neither_json_nor_json_lines_is_an_error(text: bytes) -> None:
    with pytest.raises(UnreadableInput):
        read(text)


@pytest.mark.parametrize(
    "text", [b'{"name":"caf\xe9"}', b'[{"caf\xe9":1}]', b'"\xff\xfe"', b"\xe9"]
)
def test_text_in_another_encoding_is_an_error_with_a_way_out(text: bytes) -> None:
    with pytest.raises(UnreadableInput, match="iconv"):
        read(text)


def test_a_line_in_another_encoding_is_left_to_the_later_check() -> None:
    found = read(b'{"a":1}\n{"name":"caf\xe9"}\n')
    assert found == [("line 1", b'{"a":1}'), ("line 2", b'{"name":"caf\xe9"}')]


def test_a_deeply_nested_array_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(UnreadableInput):
        read(b"[" * 200_000 + b"\n")


def test_a_deeply_nested_object_is_a_document_for_the_later_check() -> None:
    text = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
    assert read(text) == [("the document", text)]


def test_an_array_that_cannot_be_split_is_an_error_with_a_way_out() -> None:
    with pytest.raises(UnreadableInput, match="put each element on its own line"):
        read(b'[{"a":"\\ud800"}]')


def test_lines_are_read_lazily() -> None:
    stream = io.BytesIO(b'{"a":1}\n' * 1_000)
    found = read_documents(stream)
    assert next(found) == Document("line 1", b'{"a":1}')
    assert stream.tell() < 100
