"""Caches botocore's service models for the process: parsing them takes longer than a whole run."""

from __future__ import annotations

import functools
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # ships no types
from botocore.loaders import JSONFileLoader  # type: ignore[import-untyped]  # the same

_load = JSONFileLoader.load_file


@functools.cache
def _by_path(path: str) -> Any:
    return _load(JSONFileLoader(), path)


def _load_once(_loader: JSONFileLoader, path: str) -> Any:
    """The content of a file. Each session has a loader of its own, so it is not part of the key."""
    return _by_path(path)


def cache_service_models() -> None:
    """From now on each file is read at most once; the models of SQS and DynamoDB are read now."""
    JSONFileLoader.load_file = _load_once
    session = botocore.session.Session()
    for service in ("sqs", "dynamodb"):
        session.create_client(
            service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
