"""The documented example, run as a reader runs it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.sources.poller.rig import Rig, until

EXAMPLE = Path(__file__).parents[3] / "examples" / "consume.py"


async def test_the_example_consumes_a_queue(rig: Rig, aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ENDPOINT_URL_SQS", rig.server.url)
    paid = [json.dumps({"number": n, "paid": True}) for n in range(3)]
    unpaid = json.dumps({"number": 9, "paid": False})
    await rig.send([*paid, unpaid, "rubbish"])
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), "main", stdout=asyncio.subprocess.PIPE
    )
    try:
        await until(lambda: list(rig.states) == [unpaid])
        process.send_signal(signal.SIGTERM)
        await rig.pass_time(lambda: process.returncode is not None)
    finally:
        if process.returncode is None:
            process.kill()
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert sorted(out.decode().split("\n")) == ["", "order 0", "order 1", "order 2"]
