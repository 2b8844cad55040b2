"""`relay audit` of a real Inngest server, `dev` or `start`, with functions that it calls."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.local.inngest import function_app
from tests.ops.doctor.conftest import run
from tests.ops.test_real_inngest import SERVERS, send


async def audit(settings: dict[str, str], since: str, *words: str) -> Any:
    result = await run("audit", "--json", "--since", since, *words, **settings)
    assert result.code in (0, 1), result.err
    return json.loads(result.out)


@pytest.mark.inngest_dev
@pytest.mark.parametrize("settings", SERVERS)
async def test_the_states_are_those_of_the_real_runs(settings: dict[str, str]) -> None:
    settings = {name: value for name, value in settings.items() if value}
    key = settings.get("RELAY_INNGEST_SIGNING_KEY")
    url, mark = settings["RELAY_INNGEST_URL"], uuid.uuid4().hex
    unheard = f"rec/unheard-{mark}"
    names = ["rec/run", "rec/fails", "rec/two", "t/batched", "t/batched", unheard]
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
        function_app.served() as app,
    ):
        await function_app.register(client, app, key)
        begin = datetime.now(UTC).isoformat()
        events = [{"name": name, "id": f"{mark}-{n}"} for n, name in enumerate(names)]
        await send(settings, json.dumps(events))
        async with asyncio.timeout(60):
            while True:
                found = await audit(settings, begin)
                by_name = {name: found["by_name"].get(name) for name in names}
                states = {state for counts in by_name.values() for state in counts or ()}
                if states == {"completed", "failed", "unheard"} and all(by_name.values()):
                    break
    assert by_name == {
        "rec/run": {"completed": 1},
        "rec/fails": {"failed": 1},
        "rec/two": {"completed": 1},
        "t/batched": {"completed": 2},
        unheard: {"unheard": 1},
    }
    assert found["by_function"]["judge-more/fails"] == {"failed": 1}
    assert unheard in {one["name"] for one in found["unheard"]}
    failed = await audit(settings, begin, "--failed")
    assert [one["name"] for one in failed["failed"]] == ["rec/fails"]
