"""Asks the embedded server for apps, functions and runs as a real one was asked."""

from __future__ import annotations

from typing import Any

import pytest

from relay.local.inngest import Function, InngestServer, Lags
from tests.local.inngest.recording import (
    AUDIT_RECORDING,
    EVENT_KEY,
    SIGNING_KEY,
    Kind,
    exchanges,
)
from tests.local.inngest.replay import Replay
from tests.local.inngest.test_recording import RECORDED, Passing, connected, shown

FAILURE = next(
    exchange.answer.body["data"][0]["output"]
    for exchange in exchanges("dev", AUDIT_RECORDING)
    if exchange.about == "a failed run: v1"
)
FUNCTIONS = [
    Function(name="completes", app="audit", on="audit/completes", output="done"),
    Function(name="fails", app="audit", on="audit/fails", fails=True, output=FAILURE),
    Function(name="any-shop", app="audit", on="audit.shop/*", output="done"),
    Function(
        name="cancelled",
        app="audit-more",
        on="audit/cancelled",
        seconds=5,
        cancelled=True,
        cancel_on="audit/cancel",
    ),
    Function(name="sleeps", app="audit-more", on="audit/sleeps", seconds=300),
    Function(
        name="batched",
        app="audit-more",
        on="audit/batched",
        batched=True,
        size=10,
        wait=2,
        output=2,
    ),
]
SYNC = "where an app is and how it was registered: functions are arguments here"
ORDER = "functions are in the order of ids, which the real server makes from more than their names"
DIFFERENT = {
    **dict.fromkeys((3, 4, 11, 12, 47, 48, 55, 56), SYNC),
    **dict.fromkeys((13, 14, 15, 16, 26, 29, 57, 58, 59, 60), ORDER),
}
"""Where the embedded server differs, by the line of the recording, and why."""
VARIES = {43, 44, 89, 90}
"""Which of the events of a batch is its first is a race."""


async def replay(kind: Kind) -> dict[int, list[str]]:
    clock = Passing(RECORDED)
    async with (
        InngestServer(
            clock=clock,
            mode=kind,
            event_keys=[EVENT_KEY] if kind == "start" else (),
            signing_key=SIGNING_KEY if kind == "start" else "",
            lags=Lags(insert=0.1, schedule=0.05),
        ) as server,
        connected(server.url) as client,
    ):

        async def register() -> None:
            server.functions.extend(FUNCTIONS)

        asking = Replay(kind, client, clock, register, recording=AUDIT_RECORDING)
        return await asking.differences()


@pytest.mark.parametrize("kind", ["dev", "start"])
async def test_the_embedded_server_has_the_apps_functions_and_runs_of_the_real_one(
    kind: Kind,
) -> None:
    found = await replay(kind)
    unknown = {
        number: what for number, what in found.items() if number not in DIFFERENT.keys() | VARIES
    }
    assert not unknown, shown(unknown)
    lines = {exchange.number for exchange in exchanges(kind, AUDIT_RECORDING)}
    different = DIFFERENT.keys() & lines
    assert found.keys() - VARIES == different, "no longer different: take it off the list"


def listed(body: Any) -> list[Any]:
    """What does not depend on the order or the options of the functions, without the cron one."""
    found = [(one["id"], one["slug"], one["app"], one["triggers"]) for one in body["data"]]
    return sorted((one for one in found if one[3][0]["type"] == "EVENT"), key=lambda one: one[0])


@pytest.mark.parametrize("about", ["functions of an app", "functions of another app"])
async def test_the_functions_of_an_app_have_the_recorded_names_and_triggers(about: str) -> None:
    recorded = next(one for one in exchanges("start", AUDIT_RECORDING) if one.about == about)
    async with InngestServer(functions=FUNCTIONS) as server, connected(server.url) as client:
        answer = await client.get(recorded.path)
    assert listed(answer.json()) == listed(recorded.answer.body)


async def test_pages_of_functions_lead_to_all_of_them() -> None:
    functions = [Function(name=f"f{number}", on="a/b", app="one") for number in range(7)]
    found, cursor = list[str](), ""
    async with InngestServer(functions=functions) as server, connected(server.url) as client:
        while True:
            path = f"/api/v2/apps/one/functions?limit=3&cursor={cursor}"
            answer = (await client.get(path)).json()
            found += [one["id"] for one in answer["data"]]
            cursor = answer["page"].get("cursor", "")
            if not cursor:
                break
    assert sorted(found) == [function.name for function in functions]
