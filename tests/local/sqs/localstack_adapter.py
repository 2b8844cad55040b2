"""A pytest plugin that runs LocalStack's SQS tests against another server.

The server is that of `TEST_AWS_ENDPOINT_URL`. The plugin is loaded with `-p localstack_adapter`
into the interpreter that has LocalStack's dependencies. Nothing of LocalStack is started, and none
of its files is changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import types
from typing import Any
from urllib.parse import urlsplit

import pytest

ENDPOINT = os.environ["TEST_AWS_ENDPOINT_URL"]
# What LocalStack calls itself in the snapshots, where AWS has its own host.
LOCALSTACK_URL = "http://sqs.<region>.localhost.localstack.cloud:4566"
# These have one branch for AWS and one with values that AWS refuses. Ours takes AWS's values.
AS_ON_AWS = {
    "test_message_retention",
    "test_message_retention_fifo",
    "test_message_retention_with_inflight",
}

if importlib.util.find_spec("localstack.version") is None:
    # The file is generated when LocalStack is installed; a plain checkout has none.
    version = types.ModuleType("localstack.version")
    version.__version__ = "0"  # type: ignore[attr-defined] # a module made by hand
    sys.modules["localstack.version"] = version


def pytest_sessionstart() -> None:
    """Let the clients that speak plain HTTP find the server, too."""
    config = importlib.import_module("localstack.config")
    config.GATEWAY_LISTEN[0].port = urlsplit(ENDPOINT).port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what LocalStack skips because it fails LocalStack: AWS's answer was recorded anyway."""
    for item in items:
        for node in item.listchain():
            node.own_markers[:] = [mark for mark in node.own_markers if mark.name != "skip"]


@pytest.fixture(autouse=True)
def _as_recorded(
    request: pytest.FixtureRequest, snapshot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = importlib.import_module("localstack_snapshot.snapshots.transformer")
    snapshot.add_transformer(transformers.RegexTransformer(re.escape(ENDPOINT), LOCALSTACK_URL))
    if request.node.originalname in AS_ON_AWS:
        monkeypatch.setattr(request.module, "is_aws_cloud", lambda: True)
