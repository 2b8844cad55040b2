"""A run that failed is run again by `relay audit`, once its cause is repaired."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.local.environment import CREDENTIALS, REGION
from sermons import media
from sermons.story.servers import RealInngest, Servers, Settings, servers
from sermons.texts import scripts
from tests.test_story import DEV, START, until

pytestmark = pytest.mark.usefixtures("programs")


@pytest.mark.parametrize("real", [None, DEV, START], ids=["embedded", "dev", "start"])
async def test_a_failed_upload_is_announced_after_its_repair(
    tmp_path: Path, real: RealInngest | None
) -> None:
    if real is not None and not real.url:
        pytest.skip("needs a real server: INNGEST_DEV_URL, or INNGEST_START_URL with its keys")
    told: list[str] = []
    name = "the-late-choir"
    async with servers(
        Settings(directory=tmp_path, real=real, remind_after=0.0), told.append
    ) as running:
        catalog = running.catalog
        await running.uploader.file(name, b"this is not a recording")
        await until(lambda: catalog.effects()[name, "failed"] == 1)
        media.speak(scripts()[0], tmp_path / "data" / "bucket" / "uploads" / f"{name}.wav")
        options = ["--since", "10m", "--name", "sermon/uploaded", "--failed", "--rerun", "--yes"]
        result = await _audit(running, real, tmp_path, *options)
        await until(lambda: catalog.effects()[name, "announced"] == 1)
        repaired = catalog.get(name)
    assert result["done"] >= 1
    assert repaired is not None
    assert repaired.state == "announced"


async def _audit(
    running: Servers, real: RealInngest | None, directory: Path, *options: str
) -> dict[str, Any]:
    """The result line of `relay audit`, as an operator runs it."""
    environment = running.environment
    settings = {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": environment.sqs.url,
        "RELAY_QUEUE_URL": environment.queue_url,
        "RELAY_INNGEST_URL": environment.inngest_url,
        "RELAY_INNGEST_EVENT_KEY": (real.event_key if real else "") or "local",
        "RELAY_METRICS": "none",
        "PATH": "/usr/bin:/bin",
    }
    if real and real.signing_key:
        settings["RELAY_INNGEST_SIGNING_KEY"] = real.signing_key
    journal = ["--journal", str(directory / "journal")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "relay", "audit", *options, *journal),
        env=settings,
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return result
