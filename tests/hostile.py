"""A text that attacks a terminal, and the check that nothing of it came out."""

from __future__ import annotations

CONTROLS = "".join(map(chr, (*range(32), *range(0x7F, 0xA0))))
FORMATS = "\u200b\u200e\u2028\u202e\u2066\u2069\ufeff\u00ad"
MARKUP = "[red]markup[/red] [link=http://attacker.test]click[/link] :bomb:"

HOSTILE = f"\x1b[31mred\x1b]0;title\x07\x9b2J{CONTROLS}{FORMATS}{MARKUP}\ud800"
"""CSI, OSC and C1 sequences, every control character, bidirectional overrides, characters of no
width, rich's markup, and a lone surrogate."""

IN_XML = "".join(
    c for c in HOSTILE if c in "\t\n\r" or (c >= "\x20" and not "\ud800" <= c <= "\udfff")
)
"""What SQS accepts of it in a body or an attribute, unescaped (XML's characters)."""


def assert_harmless(text: str) -> None:
    """Fail if the text has a character that a terminal obeys, apart from line breaks and tabs."""
    assert {c for c in text if not c.isprintable()} <= {"\n", "\t"}, ascii(text)


def assert_shown(text: str) -> None:
    """Fail unless the text shows the hostile one as escapes, with its markup as it was given."""
    assert_harmless(text)
    assert "\\x1b[31m" in text or "\\u001b[31m" in text, text
