"""Caches botocore's service models for the process: parsing them takes longer than a whole run."""

from __future__ import annotations

import functools

import botocore.session  # type: ignore[import-untyped]  # ships no types
from botocore.loaders import JSONFileLoader  # type: ignore[import-untyped]  # the same


def cache_service_models() -> None:
    """From now on each file is read at most once; the models of SQS and DynamoDB are read now."""
    JSONFileLoader.load_file = functools.cache(JSONFileLoader.load_file)
    session = botocore.session.Session()
    for service in ("sqs", "dynamodb"):
        session.create_client(
            service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
