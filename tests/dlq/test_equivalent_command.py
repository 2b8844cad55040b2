"""The command that is shown selects what the filter selects, whatever producers put into names."""

from __future__ import annotations

import shlex
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from relay.cli.dlq import command as dlq
from relay.cli.dlq.options import build_filter
from relay.dlq.command_line import command_line, group_filter
from relay.dlq.filters import Filter

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
PARAMETERS = ("names", "codes", "ids", "sources", "since", "until", "attributes", "where")


def parsed(line: str) -> dict[str, Any]:
    """The values of the command's parameters."""
    relay, group, name, *words = shlex.split(line)
    assert (relay, group) == ("relay", "dlq")
    values: dict[str, Any] = (
        vars(get_command(dlq))["commands"][name].make_context(name, words).params
    )
    return values


@given(
    st.builds(
        Filter,
        names=st.lists(TEXT, max_size=2).map(tuple),
        codes=st.lists(TEXT, max_size=2).map(tuple),
        ids=st.lists(TEXT, max_size=2).map(tuple),
        since=st.none() | st.integers(0, 4_000_000_000).map(float),
    )
)
def test_a_command_line_parses_to_the_filter_it_was_made_of(filters: Filter) -> None:
    values = parsed(command_line("redrive", filters, {"canary": 5, "yes": True, "to": None}))
    assert build_filter(*(values[name] for name in PARAMETERS)) == filters
    assert (values["canary"], values["yes"], values["to"]) == (5, True, None)


@given(TEXT, TEXT)
def test_the_filter_of_a_group_matches_only_its_own_name_and_code(name: str, code: str) -> None:
    filters = group_filter(name, code)
    assert fnmatchcase(name, filters.names[0])
    assert fnmatchcase(code, filters.codes[0])
    assert not fnmatchcase(f"{name}x", filters.names[0])
