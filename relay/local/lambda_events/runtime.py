"""A minimal Lambda runtime: `python -m relay.local.lambda_events.runtime module.handler`.

It speaks the runtime API of AWS as the runtime interface client does that Lambda itself uses, which
may run in its place (`python -m awslambdaric`). Source: Lambda Developer Guide, "Using the Lambda
runtime API for custom runtimes". Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from importlib import import_module
from typing import Any

_BASE = "/2018-06-01/runtime"


@dataclass(frozen=True, slots=True)
class Context:
    """What the handler is told about its invocation."""

    aws_request_id: str
    invoked_function_arn: str
    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation ends."""
        return max(0, int((self.deadline - time.time()) * 1_000))


def main(arguments: list[str]) -> int:
    """Serve invocations until the process is killed. Returns 1 if the handler cannot be loaded."""
    host = os.environ["AWS_LAMBDA_RUNTIME_API"]
    connection = HTTPConnection(host)
    try:
        handler = _load(arguments[0])
    except Exception as error:  # noqa: BLE001 - whatever importing the function raises
        _post(connection, "/init/error", _error(error))
        return 1
    while True:
        _serve_one(connection, handler)


def _load(name: str) -> Callable[[Any, Context], Any]:
    module, _, attribute = name.rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(import_module(module), attribute)
    return handler


def _serve_one(connection: HTTPConnection, handler: Callable[[Any, Context], Any]) -> None:
    connection.request("GET", f"{_BASE}/invocation/next")
    response = connection.getresponse()
    body, context = response.read(), _context(response)
    path = f"/invocation/{context.aws_request_id}"
    try:
        answer = json.dumps(handler(json.loads(body), context)).encode()
    except Exception as error:  # noqa: BLE001 - whatever the function raises is its answer
        sys.stdout.write(f"[ERROR] {type(error).__name__}: {error}\n")
        sys.stdout.flush()
        _post(connection, f"{path}/error", _error(error))
    else:
        _post(connection, f"{path}/response", answer)


def _context(response: HTTPResponse) -> Context:
    headers = response.headers
    return Context(
        aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"],
        invoked_function_arn=headers["Lambda-Runtime-Invoked-Function-Arn"],
        deadline=int(headers["Lambda-Runtime-Deadline-Ms"]) / 1_000,
    )


def _error(error: Exception) -> bytes:
    lines = traceback.format_exception(error)
    found = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": lines}
    return json.dumps(found).encode()


def _post(connection: HTTPConnection, path: str, body: bytes) -> None:
    connection.request("POST", f"{_BASE}{path}", body)
    connection.getresponse().read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
