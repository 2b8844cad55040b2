"""What a message's notices mean: it is accepted, but its producer may have made a mistake."""

from __future__ import annotations

_MEANINGS = {
    "duplicate-key": "an object has a key twice: most parsers use the last one",
    "big-integer": (
        "an integer is beyond 2^53: Inngest rounds it, as JavaScript does, so send it as a text"
    ),
    "lone-surrogate": "a text has half of a surrogate pair: Inngest replaces it by U+FFFD",
    "repeated-id": "two of its events have the same id: only one of them is accepted",
    "id-not-found": (
        "it has no id at RELAY_ID_ATTRIBUTE or RELAY_ID_PATH, so the next rule for ids is used"
    ),
}


def explain_notice(notice: str) -> str:
    """A phrase for a person. A notice that is not known is returned as it is."""
    code, _, field = notice.partition(":")
    if code == "unknown-field":
        return f"no event has a field {field}: it is left out, so put it into data"
    if code == "field-case":
        return f"it has a field {field}: it is sent as {field.lower()}"
    return _MEANINGS.get(code, notice)
