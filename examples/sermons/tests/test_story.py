"""The story itself: with the embedded event API always, with a real server where there is one."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import inngest
import pytest

from sermons.catalog import Catalog
from sermons.functions import APP, Options, Pipeline
from sermons.story.application import Failed
from sermons.story.outage import Plot, Story
from sermons.story.servers import RealInngest, Settings, servers
from sermons.texts import scripts
from tests.applications import served
from tests.studios import ScriptedStudio

REAL = os.environ.get("INNGEST_DEV_URL", "")
DEV = RealInngest(url=REAL)
START = RealInngest(
    url=os.environ.get("INNGEST_START_URL", ""),
    event_key=os.environ.get("INNGEST_START_EVENT_KEY", ""),
    signing_key=os.environ.get("INNGEST_START_SIGNING_KEY", ""),
)
needs_real = pytest.mark.skipif(
    not REAL, reason="needs a real `inngest dev`, its address in INNGEST_DEV_URL"
)
pytestmark = pytest.mark.usefixtures("programs")


async def test_the_records_agree_after_the_outage(tmp_path: Path) -> None:
    told: list[str] = []
    async with servers(Settings(directory=tmp_path, remind_after=0.0), told.append) as running:
        plot = Plot(sermons=6, outage=2.0)
        result = await Story(plot, running, told.append).tell()
        async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
            page = (await client.get("/", params={"q": "somebody who was lost"})).text
            sermon = (await client.get("/sermons/the-lost-sheep-north-chapel")).text
            stream = "/streams/the-lost-sheep-north-chapel"
            playlist = (await client.get(f"{stream}/index.m3u8")).text
            chunk = await client.get(f"{stream}/00000.m4s")
            outside = await client.get(f"{stream}/..%2F..%2F..%2Fsermons.sqlite")
            unknown = await client.get("/sermons/nobody")
    assert result.consistent, result.table()
    assert page.index("The lost sheep north chapel") < page.index("The two sons north chapel")
    assert "holiday-photo.wav is not audio" in page
    assert "<audio" in sermon
    assert "00000.m4s" in playlist
    assert (chunk.status_code, chunk.headers["content-type"]) == (200, "audio/mp4")
    assert (outside.status_code, unknown.status_code) == (404, 404)
    assert any("sermons-check failed for holiday-photo" in line for line in told)


async def test_an_application_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    told: list[str] = []
    some = scripts()[:4]
    async with servers(Settings(directory=tmp_path, remind_after=0.0), told.append) as running:
        for script in some:
            await running.uploader.speak(script)
        catalog = running.catalog
        await until(lambda: any(effect == "transcoded" for _, effect in catalog.effects()))
        running.application.kill()
        await until(lambda: _announced(catalog) == len(some))
        effects = catalog.effects()
    assert "the application ended with -9, and is started again" in told
    assert {effects[script.slug, "announced"] for script in some} == {1}
    assert not [one for one in effects if one[1] == "failed"]


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Failed, match=f"port {port} is taken"):
            async with servers(Settings(directory=tmp_path, port=port), print):
                pytest.fail("it started")


async def test_an_application_that_cannot_start_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sermons.sqlite").write_text("this is no database, " * 100)
    with pytest.raises(Failed, match="file is not a database"):
        async with servers(Settings(directory=tmp_path), print):
            pytest.fail("it started")


@pytest.mark.parametrize("real", [DEV, START], ids=["dev", "start"])
async def test_the_records_agree_with_a_real_server(tmp_path: Path, real: RealInngest) -> None:
    if not real.url:
        pytest.skip("needs a real server: INNGEST_DEV_URL, or INNGEST_START_URL with its keys")
    told: list[str] = []
    async with servers(Settings(directory=tmp_path, real=real), told.append) as running:
        result = await Story(Plot(sermons=6), running, told.append).tell()
    assert result.consistent, result.table()


@needs_real
async def test_a_real_server_keeps_the_limit_that_the_heavy_functions_share(
    tmp_path: Path,
) -> None:
    studio = ScriptedStudio(takes=0.3)
    catalog = Catalog(tmp_path / "sermons.sqlite")
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "one.wav").touch()
    client = inngest.Inngest(
        app_id=APP, is_production=False, api_base_url=REAL, event_api_base_url=REAL
    )
    pipeline = Pipeline(client, catalog, studio, tmp_path, Options(processors=2))
    version = uuid.uuid4().hex
    sermons = [f"number-{number}" for number in range(8)]
    with served(client, pipeline.functions()) as url:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            assert (await http.put(f"{url}/api/inngest")).status_code == 200
        subjects = [{"sermon": s, "version": version, "key": "one.wav"} for s in sermons]
        await client.send([inngest.Event(name="sermon/uploaded", data=s) for s in subjects])
        await until(lambda: _announced(catalog) == len(sermons))
    catalog.close()
    assert studio.most_at_once == 2


def _announced(catalog: Catalog) -> int:
    return sum(effect == "announced" for _, effect in catalog.effects())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - another process or thread changes it
            await asyncio.sleep(0.1)
