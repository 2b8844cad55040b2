"""Caches botocore's service models for the process: parsing them takes longer than a whole run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # ships no types
from botocore.loaders import (  # type: ignore[import-untyped]  # the same
    JSONFileLoader,
    Loader,
)


class SharedFiles(JSONFileLoader):  # type: ignore[misc]  # ships no types
    """Reads each file once in the process for all loaders of a class."""

    def __init__(self, loader_class: type[Loader]) -> None:
        self._loader_class = loader_class

    def load_file(self, file_path: str) -> Any:
        # mypy does not know that a class is hashable.
        return _read_once(self._loader_class, file_path)  # type: ignore[arg-type]


@functools.cache
def _read_once(_loader_class: type[Loader], path: str) -> Any:
    """The content of a file. moto's loader adds errors of its own to what it has read, in place."""
    return JSONFileLoader().load_file(path)


def cache_service_models() -> None:
    """From now on each file is read at most once; the models of SQS and DynamoDB are read now."""
    Loader.FILE_LOADER_CLASS = property(_files)
    session = botocore.session.Session()
    for service in ("sqs", "dynamodb"):
        session.create_client(
            service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )


def _files(loader: Loader) -> Callable[[], SharedFiles]:
    return functools.partial(SharedFiles, type(loader))
