"""Runs one suite against every destination."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import get_args

import pytest

from relay.settings import destination_value_types
from tests.destinations.conformance import moto_states, setups
from tests.destinations.conformance.prefect_server import prefect, prefect_process
from tests.destinations.conformance.real_servers import VARIABLES, real

OPTIONAL = {"temporal": "temporalio", "bullmq": "bullmq"}


def _named(variable: str) -> pytest.MarkDecorator:
    reason = f"set {variable} to a real server"
    return pytest.mark.skipif(variable not in os.environ, reason=reason)


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the database of `prefect_url`'s server."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect_url(prefect_home: Path) -> Iterator[str]:
    with prefect_process(prefect_home) as (url, _):
        yield url


@pytest.fixture(
    params=[
        *get_args(destination_value_types.Destination),
        "step-functions on moto",
        pytest.param("prefect itself", marks=pytest.mark.heavy),
        *(pytest.param(f"real {name}", marks=_named(at)) for name, at in VARIABLES.items()),
    ]
)
async def setup(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[setups.Setup]:
    """A destination with a new server."""
    name = str(request.param)
    if name.startswith("real "):
        async with real(name.removeprefix("real ")) as found:
            yield found
        return
    for variable, value in moto_states.KEYS.items():
        monkeypatch.setenv(variable, value)
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name], reason=f"the extra {name} is not installed")
    if name == "inngest":
        async with setups.inngest() as found:
            yield found
    elif name == "step-functions on moto":
        url = request.getfixturevalue("moto")
        async with moto_states.step_functions(url, uuid.uuid4().hex, monkeypatch) as found:
            yield found
    elif name == "prefect itself":
        url = request.getfixturevalue("prefect_url")
        async with prefect(url, uuid.uuid4().hex, monkeypatch) as found:
            yield found
    elif name == "temporal":
        from tests.destinations.conformance.temporal_setup import temporal  # noqa: PLC0415 - needs the extra

        async with temporal() as found:
            yield found
    elif name == "bullmq":
        from tests.destinations.conformance.redis_setup import bullmq  # noqa: PLC0415 - needs the extra

        async with bullmq() as found:
            yield found
    else:
        async with setups.emulated(name, monkeypatch) as found:
            yield found
