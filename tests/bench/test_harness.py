"""A contestant that fails is named, with its last output."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.contestant import Contestant
from bench.harness import Harness
from bench.harness import harness as new_harness
from bench.run import Workload, run
from bench.server_process import BenchmarkFailed


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with new_harness(tmp_path / "contestants.log") as found:
        yield found


def script(code: str) -> Contestant:
    command = (sys.executable, "-c", code)
    return Contestant(name="a script", command=command, messages=1, about="")


ENDED = r"(?s)a script has ended with exit code 3.*no key"

EXITS = "print('no key'); raise SystemExit(3)"

RECEIVES_ONCE = """
import os, urllib.request as web
head = {"x-amz-target": "AmazonSQS.ReceiveMessage", "content-type": "application/x-amz-json-1.0"}
body = ('{"QueueUrl":"%s","WaitTimeSeconds":1}' % os.environ["BENCH_QUEUE"]).encode()
web.urlopen(web.Request(os.environ["AWS_ENDPOINT_URL"], body, head)).read()
"""


async def test_a_contestant_that_ends_before_it_is_ready(harness: Harness) -> None:
    with pytest.raises(BenchmarkFailed, match=ENDED):
        async with harness.session(script(EXITS)):
            pass


async def test_a_contestant_that_ends_before_the_queue_is_empty(harness: Harness) -> None:
    workload = Workload(name="some", about="", size=300)
    with pytest.raises(BenchmarkFailed, match=ENDED):
        await run(harness, script(RECEIVES_ONCE + EXITS), workload)
