"""ULIDs: 26 letters of Crockford's base 32, which sort by the time that they begin with."""

from __future__ import annotations

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME = 10


def milliseconds(ulid: str) -> int:
    """The time in it, milliseconds since the epoch; 0 for what is no ULID."""
    value = 0
    for letter in ulid[:_TIME].upper():
        place = LETTERS.find(letter)
        if place < 0:
            return 0
        value = value * len(LETTERS) + place
    return value


def above(ulid: str) -> str:
    """The next one in their order, so that "less than it" includes the given one."""
    letters = list(ulid.upper())
    for at in range(len(letters) - 1, -1, -1):
        place = LETTERS.find(letters[at])
        if place < len(LETTERS) - 1:
            letters[at] = LETTERS[place + 1]
            break
        letters[at] = LETTERS[0]
    return "".join(letters)
