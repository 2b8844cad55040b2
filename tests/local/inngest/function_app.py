"""The functions of the recording, as an app that a real Inngest server calls.

It speaks as much of the SDKs' protocol as these functions need: it registers them, and answers the
server's calls with what they return.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from relay.local.inngest.connection import Listener
from relay.local.inngest.request import JSON, Reply, Request, as_json

STACK = (
    'Traceback (most recent call last):\n  File "app.py", line 12, in fails\n'
    '    raise inngest.NonRetriableError("made to fail")\n'
    "inngest._internal.errors.NonRetriableError: made to fail\n"
)
FAILURE = {
    "code": "non_retriable_error",
    "message": "made to fail",
    "name": "NonRetriableError",
    "stack": STACK,
}


@dataclass(frozen=True, kw_only=True)
class AppFunction:
    """A function of an app. `seconds` is how long a call takes; `fails` means without a retry."""

    app: str
    name: str
    on: str
    output: Any = None
    fails: bool = False
    seconds: float = 0.0
    batched: bool = False


FUNCTIONS = (
    AppFunction(app="judge", name="plain-rec-run", on="rec/run", output={"ok": True}),
    AppFunction(app="judge", name="batched", on="t/batched", output={"n": 3}, batched=True),
    AppFunction(app="judge-more", name="fails", on="rec/fails", output=FAILURE, fails=True),
    AppFunction(app="judge-more", name="slow", on="rec/slow", output={"slow": True}, seconds=4.0),
    AppFunction(app="judge-more", name="two-a", on="rec/two", output="a"),
    AppFunction(app="judge-more", name="two-b", on="rec/two"),
)


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """Serve the functions on a free port; yields the app's URL."""
    listener = Listener("127.0.0.1", 0, _call, lambda: False)
    listener.bind()
    await listener.up()
    try:
        yield f"http://127.0.0.1:{listener.port}/api/inngest"
    finally:
        await listener.down()
        listener.release()


async def register(client: httpx.AsyncClient, url: str, signing_key: str | None) -> None:
    """Register the functions with the server of the client."""
    headers = {"authorization": f"Bearer {signing_key}"} if signing_key else {}
    for app in sorted({function.app for function in FUNCTIONS}):
        body = {
            "url": f"{url}?app={app}",
            "deployType": "ping",
            "framework": "test",
            "appName": app,
            "sdk": "py:v0.5.19",
            "v": "0.1",
            "functions": [_config(function, url) for function in FUNCTIONS if function.app == app],
        }
        answer = await client.post("/fn/register", json=body, headers=headers)
        assert answer.status_code == 200, answer.text


def _config(function: AppFunction, url: str) -> dict[str, Any]:
    runtime = {"type": "http", "url": f"{url}?fnId={function.name}&stepId=step"}
    step = {"id": "step", "name": "step", "retries": {"attempts": 1}, "runtime": runtime}
    batch = {"batchEvents": {"maxSize": 10, "timeout": "2s"}} if function.batched else {}
    return {
        "id": f"{function.app}-{function.name}",
        "name": function.name,
        "triggers": [{"event": function.on}],
        "steps": {"step": step},
        **batch,
    }


async def _call(request: Request) -> Reply:
    name = request.query.get("fnId", "")
    function = next((one for one in FUNCTIONS if one.name == name), None)
    if function is None:
        return as_json({"message": f"no function {name}"}, 404, JSON)
    await asyncio.sleep(function.seconds)
    headers = {"x-inngest-sdk": "py:v0.5.19", "x-inngest-req-version": "1"}
    if function.fails:
        failed = headers | {"x-inngest-no-retry": "true"}
        return Reply(400, json.dumps(function.output).encode(), JSON, failed)
    return as_json(function.output, 200, JSON, headers)
