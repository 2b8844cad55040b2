"""A configured JMESPath that finds a message's id in its body."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath  # type: ignore[import-untyped] # it ships no types
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped] # the same


@lru_cache(maxsize=16)
def compiled(path: str) -> Any:
    """The parsed expression.

    Raises:
        ValueError: it is no JMESPath; the text says where it goes wrong.
    """
    try:
        return jmespath.compile(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is no JMESPath: {error}") from error


def found(path: str, content: Any) -> str | None:
    """The text or integer that the path leads to, as text; None where it leads to nothing such."""
    try:
        value = compiled(path).search(content)
    # Its functions meet whatever types a producer sent; a body may not break the relay.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None
