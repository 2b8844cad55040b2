"""The help of a command: examples below the options, and no type for an option without a value."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose help shows no type for an option that takes no value."""

    def get_params(self, ctx: Any) -> Any:
        """The command's options and arguments."""
        return without_flag_types(super().get_params(ctx))


def without_flag_types(params: Sequence[Any]) -> Sequence[Any]:
    """The parameters, without typer's `<bool>` after those that take no value."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def epilog(examples: str, exit_codes: str) -> str:
    """What the help of a command ends with: one example per line, then its exit codes."""
    return f"Examples:\n\n{indent(examples, '    ')}\n\n{exit_codes}"
