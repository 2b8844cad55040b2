"""The executor, with a real application over HTTP and the embedded event API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import inngest
import pytest

from relay.local.inngest import InngestServer
from relay.local.processes import free_port
from sermons.story.executor import Executor, Unsupported
from tests.applications import served

Handler = Callable[[inngest.Context], Any]


class Scene:
    """An application under an executor."""

    def __init__(self, server: InngestServer, executor: Executor, failures: list[str]) -> None:
        self.server = server
        self.executor = executor
        self.failures = failures
        self.slept: list[float] = []

    async def send(self, **event: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            reply = await client.post(f"{self.server.url}/e/key", json=event)
        assert reply.json()["status"] == 200

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - another process or thread changes it
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def scene(
    make: Callable[[inngest.Inngest], Sequence[inngest.Function[Any]]],
) -> AsyncIterator[Scene]:
    async with InngestServer() as server:
        client = inngest.Inngest(
            app_id="sermons", is_production=False, event_api_base_url=server.url, event_key="key"
        )
        functions = make(client)
        with served(client, functions) as url:
            configs = []
            for function in functions:
                config = function.get_config(f"{url}/api/inngest")
                configs += [c.to_dict() for c in (config.main, config.on_failure) if c]
            failures: list[str] = []
            waits: list[float] = []

            async def sleep(seconds: float) -> None:
                waits.append(seconds)

            executor = Executor(server, configs, failures.append, sleep)  # type: ignore[arg-type]
            made = Scene(server, executor, failures)
            made.slept = waits
            running = asyncio.create_task(executor.run())
            try:
                yield made
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


def one(
    client: inngest.Inngest, handler: Handler, name: str = "one", **options: Any
) -> inngest.Function[Any]:
    trigger = inngest.TriggerEvent(event="a/b")
    return client.create_function(fn_id=name, trigger=trigger, **options)(handler)


async def test_a_step_that_fails_is_tried_again_and_finished_steps_are_not() -> None:
    calls: list[str] = []

    async def handler(ctx: inngest.Context) -> None:
        async def first() -> int:
            calls.append("first")
            return 1

        async def second() -> None:
            calls.append("second")
            if calls.count("second") < 3:
                raise OSError("not yet")

        await ctx.step.run("first", first)
        await ctx.step.run("second", second)
        calls.append("end")

    async with scene(lambda client: [one(client, handler)]) as it:
        await it.send(name="a/b", id="1")
        await it.until(lambda: "end" in calls)
        assert calls == ["first", "second", "second", "second", "end"]
        assert it.slept == [0.5, 1.0]


async def test_a_function_that_gives_up_is_reported_to_its_failure_handler() -> None:
    told: list[Any] = []

    async def handler(ctx: inngest.Context) -> None:
        async def step() -> None:
            raise OSError("the disk is full")

        await ctx.step.run("step", step)

    async def on_failure(ctx: inngest.Context) -> None:
        told.append((ctx.event.data["event"], ctx.event.data["error"]))

    def make(client: inngest.Inngest) -> list[inngest.Function[Any]]:
        return [one(client, handler, retries=1, on_failure=on_failure)]

    async with scene(make) as it:
        await it.send(name="a/b", id="1", data={"sermon": "salt"})
        await it.until(lambda: bool(told))
        [(event, error)] = told
        assert event["data"] == {"sermon": "salt"}
        assert error["message"] == "the disk is full"
        assert it.slept == [0.5]
        assert it.failures == ["sermons-one failed for 1: the disk is full"]
        assert [run.status for run in it.server.runs] == ["Failed"]


async def test_what_must_not_be_tried_again_is_not() -> None:
    async def handler(ctx: inngest.Context) -> None:
        raise inngest.NonRetriableError("no recording")

    async with scene(lambda client: [one(client, handler)]) as it:
        await it.send(name="a/b", id="1")
        await it.until(lambda: bool(it.failures))
        assert it.slept == []


async def test_an_event_that_is_sent_twice_runs_once_and_what_it_sends_runs_too() -> None:
    runs: list[str] = []

    async def sender(ctx: inngest.Context) -> None:
        await ctx.step.send_event("tell", inngest.Event(name="c/d", id="next"))

    async def receiver(ctx: inngest.Context) -> None:
        runs.append(ctx.event.id)

    def make(client: inngest.Inngest) -> list[inngest.Function[Any]]:
        trigger = inngest.TriggerEvent(event="c/d")
        second = client.create_function(fn_id="two", trigger=trigger)(receiver)
        return [one(client, sender), second]

    async with scene(make) as it:
        await it.send(name="a/b", id="1")
        await it.send(name="a/b", id="1")
        await it.until(lambda: bool(runs))
        await it.send(name="a/b", id="2")
        await it.until(lambda: len(it.server.events) == 5)
        assert runs == ["next"]


async def test_functions_with_one_key_share_its_limit() -> None:
    now, most, done = 0, 0, 0

    async def handler(ctx: inngest.Context) -> None:
        async def step() -> None:
            nonlocal now, most, done
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            done += 1

        await ctx.step.run("step", step)

    limit = [inngest.Concurrency(limit=1, key='"cpu"', scope="env")]

    def make(client: inngest.Inngest) -> list[inngest.Function[Any]]:
        return [one(client, handler, name, concurrency=limit) for name in ("one", "two")]

    async with scene(make) as it:
        for number in range(5):
            await it.send(name="a/b", id=str(number))
        await it.until(lambda: done == 10)
        assert most == 1


async def test_while_the_orchestrator_is_down_it_calls_nothing_and_afterwards_goes_on() -> None:
    steps: list[str] = []

    async def handler(ctx: inngest.Context) -> None:
        async def first() -> None:
            steps.append("first")

        async def second() -> None:
            steps.append("second")

        await ctx.step.run("first", first)
        await ctx.step.run("second", second)

    async with scene(lambda client: [one(client, handler)]) as it:
        await it.send(name="a/b", id="1")
        await it.executor.down()
        before = list(steps)
        with pytest.raises(httpx.TransportError):
            await it.send(name="a/b", id="2")
        assert len(steps) - len(before) <= 1  # the step that was under way
        await it.executor.up()
        await it.until(lambda: "second" in steps)
        assert steps == ["first", "second"]


async def test_an_application_that_is_not_running_is_waited_for() -> None:
    waited: list[float] = []
    ran: list[str] = []

    async def handler(ctx: inngest.Context) -> None:
        ran.append(ctx.run_id)

    async with InngestServer() as server:
        client = inngest.Inngest(
            app_id="sermons", is_production=False, event_api_base_url=server.url, event_key="key"
        )
        functions = [one(client, handler)]
        port = free_port()
        config = functions[0].get_config(f"http://127.0.0.1:{port}/api/inngest")
        failures: list[str] = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)
            await asyncio.sleep(0.01)

        executor = Executor(server, [config.main.model_dump(by_alias=True)], failures.append, sleep)
        it = Scene(server, executor, failures)
        running = asyncio.create_task(executor.run())
        try:
            await it.send(name="a/b", id="1")
            await it.until(lambda: len(waited) > 10)
            with served(client, functions, port):
                await it.until(lambda: bool(ran))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert failures == []
    assert len(ran) == 1


async def test_what_it_cannot_execute_ends_it_with_a_sentence() -> None:
    async def handler(ctx: inngest.Context) -> None:
        await ctx.step.sleep("wait", timedelta(seconds=1))

    async with InngestServer() as server:
        client = inngest.Inngest(
            app_id="sermons", is_production=False, event_api_base_url=server.url, event_key="key"
        )
        function = one(client, handler)
        with served(client, [function]) as url:
            config = function.get_config(f"{url}/api/inngest").main.to_dict()
            executor = Executor(server, [config], lambda _: None)  # type: ignore[list-item]
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.post(f"{server.url}/e/key", json={"name": "a/b"})
            async with asyncio.timeout(30):
                with pytest.raises(ExceptionGroup) as raised:
                    await executor.run()
    assert raised.group_contains(Unsupported, match="Sleep is not executed here")
