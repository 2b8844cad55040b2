"""What people write instead of JMESPath, and the JMESPath that they mean."""

from __future__ import annotations

import re

from relay.envelope.ids import compile_path

_QUOTED = r"""(?:'[^']*'|"[^"]*"|`[^`]*`)"""
_COMPARISON = r"(==|!=|<=|>=|<|>)"
_CORRECTIONS = (
    (re.compile(rf"{_COMPARISON}\s*(-?\d+(?:\.\d+)?|true|false|null)\b(?![\w.`'\"])"), r"\1 `\2`"),
    (re.compile(rf"{_COMPARISON}\s*\"([^\"'`]*)\"(?!\s*\.)"), r"\1 '\2'"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "=="),
    (re.compile(r"\band\b", re.IGNORECASE), "&&"),
    (re.compile(r"\bor\b", re.IGNORECASE), "||"),
    (re.compile(r"\bnot\s+([\w.]+)", re.IGNORECASE), r"!(\1)"),
    (re.compile(r"(?<=\.)(\w+(?:-\w+)+)"), r'"\1"'),
)
"""In order: literals need backticks; a text needs single quotes, because one in double quotes is a
field; equality is `==`; the operators are `&&`, `||` and `!`; a field with a hyphen is quoted."""


def meant(expression: str) -> str | None:
    """The expression that was probably meant; None if this one looks right, or cannot be saved."""
    corrected = expression
    for pattern, replacement in _CORRECTIONS:
        corrected = _outside_quotes(pattern, replacement, corrected)
    # A corrected `=` may be followed by what the first two have to correct.
    for pattern, replacement in _CORRECTIONS[:2]:
        corrected = pattern.sub(replacement, corrected)
    if corrected == expression:
        return None
    try:
        compile_path(corrected)
    except ValueError:
        return None
    return corrected


def _outside_quotes(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """Replace, but nothing that is a quoted text as a whole, or inside one."""
    quoted = [match.span() for match in re.finditer(_QUOTED, text)]

    def corrected(match: re.Match[str]) -> str:
        inside = any(start < match.start() < end for start, end in quoted)
        return match[0] if inside else match.expand(replacement)

    return pattern.sub(corrected, text)
