"""Models that are read once must stay as botocore delivers them, whoever else reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import Loader  # type: ignore[import-untyped]  # ships no types
from moto.core.loaders import create_loader

from tests.chaos.preloading import cache_service_models


@pytest.fixture(autouse=True)
def models_read_once() -> Iterator[None]:
    before = Loader.FILE_LOADER_CLASS
    cache_service_models()
    yield
    Loader.FILE_LOADER_CLASS = before


def _model(loader: Loader) -> dict[str, Any]:
    model: dict[str, Any] = loader.load_service_model("sqs", "service-2")
    return model


def test_all_sessions_share_one_model() -> None:
    assert _model(Loader()) is _model(Loader())


def test_errors_that_moto_adds_to_its_model_are_not_in_the_model_of_a_client() -> None:
    with_errors_of_moto = _model(create_loader())["shapes"]["QueueDoesNotExist"]
    assert with_errors_of_moto["error"]["code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert "error" not in _model(Loader())["shapes"]["QueueDoesNotExist"]
