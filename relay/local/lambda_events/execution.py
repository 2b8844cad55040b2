"""An execution environment: one child process that handles one invocation at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.http.server import serving
from relay.local.lambda_events.faults import Fault

INIT_TIMEOUT = 30.0
"""Seconds for loading the function. AWS starts it again after 10, then with the function's own
timeout; the machine of a test may be slower."""

_BASE = "/2018-06-01/runtime"


@dataclass(frozen=True, slots=True)
class Answer:
    """The function's response, as bytes."""

    body: bytes


@dataclass(frozen=True, slots=True)
class FunctionError:
    """The invocation failed: the function raised, exited or was killed, or its time was over."""

    kind: str
    message: str = ""


class Execution:
    """One environment. `start` it, `invoke` it any number of times, and `stop` it.

    The process speaks AWS's runtime API with a server of this environment. While it waits for an
    invocation it can be frozen (SIGSTOP), as AWS freezes its environments.

    Args:
        runtime: the arguments of `python` that start a runtime; the handler's name follows.
        handler: the module and name of the handler, such as `relay.app.aws_lambda.handler`.
        variables: the process's environment.
        output: the file that its output is appended to.
        freeze: whether to stop the process between invocations.
    """

    def __init__(
        self,
        *,
        runtime: Sequence[str],
        handler: str,
        variables: Mapping[str, str],
        output: Path,
        freeze: bool,
    ) -> None:
        self._command = (*runtime, handler)
        self._variables = variables
        self._output = output
        self._freeze = freeze
        self._stack = AsyncExitStack()
        self._events: asyncio.Queue[tuple[str, bytes, float]] = asyncio.Queue()
        self._waits = asyncio.Event()
        self._answer: asyncio.Future[Answer | FunctionError] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._exited: asyncio.Future[int] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs, or is frozen."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process's pid."""
        assert self._process is not None  # noqa: S101 - the caller has started it
        return self._process.pid

    async def start(self) -> None:
        """Start the process. It loads the function by itself."""
        port = await self._stack.enter_async_context(serving(self._api()))
        with self._output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                env={**self._variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._exited = asyncio.ensure_future(self._process.wait())

    async def invoke(
        self, event: bytes, timeout: float, fault: Fault | None
    ) -> Answer | FunctionError:
        """Pass the event to the function, for at most `timeout` seconds.

        An invocation that ends without an answer ends the process too.
        """
        if not await self._ready():
            await self.stop()
            return FunctionError("Runtime.ExitError", "the function could not be loaded")
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait((str(uuid.uuid4()), event, time.time() + timeout))
        found = await self._outcome(answer, timeout, fault)
        if not answer.done() or (fault is not None and fault.kind == "lose-answer"):
            await self.stop()
        elif self._freeze and await self._ready():
            os.kill(self.pid, signal.SIGSTOP)
        return found

    async def stop(self) -> None:
        """Kill the process, frozen or not."""
        if self.alive and self._process is not None:
            self._process.kill()
        if self._exited is not None:
            await asyncio.wait({self._exited})
        await self._stack.aclose()

    async def _ready(self) -> bool:
        """Continue a frozen process, and wait until it asks for an event. False if it ended."""
        assert self._exited is not None  # noqa: S101 - the caller has started it
        if self.alive:
            os.kill(self.pid, signal.SIGCONT)
        waiting = asyncio.ensure_future(self._waits.wait())
        try:
            await _first(waiting, self._exited, timeout=INIT_TIMEOUT)
        finally:
            waiting.cancel()
        return self._waits.is_set() and self.alive

    async def _outcome(
        self, answer: asyncio.Future[Answer | FunctionError], timeout: float, fault: Fault | None
    ) -> Answer | FunctionError:
        assert self._exited is not None  # noqa: S101 - the caller has started it
        ends = fault is not None and fault.kind in ("kill", "time-out")
        limit = fault.after if fault is not None and ends else timeout
        await _first(answer, self._exited, timeout=limit)
        if answer.done() and fault is not None and fault.kind == "lose-answer":
            return FunctionError("Runtime.ExitError", "killed before its answer arrived")
        if answer.done():
            return answer.result()
        if self._exited.done() or (fault is not None and fault.kind == "kill"):
            return FunctionError("Runtime.ExitError", "Runtime exited with error: signal: killed")
        return FunctionError("Sandbox.Timedout", f"Task timed out after {limit:.2f} seconds")

    def _api(self) -> Starlette:
        """The runtime API (Lambda Developer Guide, "Using the Lambda runtime API")."""
        one = f"{_BASE}/invocation/{{request_id}}"
        return Starlette(
            routes=[
                Route(f"{_BASE}/invocation/next", self._next, methods=["GET"]),
                Route(f"{one}/response", self._response, methods=["POST"]),
                Route(f"{one}/error", self._failed, methods=["POST"]),
                Route(f"{_BASE}/init/error", self._init_failed, methods=["POST"]),
            ]
        )

    async def _next(self, _request: Request) -> Response:
        assert self._exited is not None  # noqa: S101 - the process asks
        self._waits.set()
        getting = asyncio.ensure_future(self._events.get())
        try:
            await _first(getting, self._exited)
        finally:
            self._waits.clear()
            if not getting.done():
                getting.cancel()
        if not getting.done() or getting.cancelled():
            return Response(status_code=410)
        request_id, event, deadline = getting.result()
        arn = "arn:aws:lambda:us-east-1:000000000000:function:relay"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1_000)),
            "Lambda-Runtime-Invoked-Function-Arn": arn,
        }
        return Response(event, headers=headers, media_type="application/json")

    async def _response(self, request: Request) -> Response:
        return self._resolve(Answer(await request.body()))

    async def _failed(self, request: Request) -> Response:
        error: Mapping[str, Any] = json.loads(await request.body())
        kind, message = str(error.get("errorType")), str(error.get("errorMessage"))
        return self._resolve(FunctionError(kind, message))

    async def _init_failed(self, _request: Request) -> Response:
        return JSONResponse({"status": "OK"}, 202)

    def _resolve(self, found: Answer | FunctionError) -> Response:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(found)
        return JSONResponse({"status": "OK"}, 202)


async def _first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Return when one of them is done, or the time is over."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
