"""The clients of the one suite of situations, in an environment that names no proxy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from unittest import mock

import pytest

from tests.destinations.certificates import Authority
from tests.http.clients import CLIENTS, Ask

Open = Callable[[str, Path | None], AbstractAsyncContextManager[Ask]]

_UNSET = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def plain_environment() -> Iterator[None]:
    """AWS credentials, and no variable that says how to reach a network."""
    with mock.patch.dict(os.environ):
        for name in (*_UNSET, *map(str.upper, _UNSET), "AWS_PROFILE", "AWS_CA_BUNDLE"):
            os.environ.pop(name, None)
        os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        yield


@pytest.fixture(params=list(CLIENTS))
def opening(request: pytest.FixtureRequest, plain_environment: None) -> Open:
    return CLIENTS[request.param]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
