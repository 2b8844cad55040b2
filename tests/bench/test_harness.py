"""A contestant that fails is named, with what it said last."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.contestant import Contestant
from bench.failure import Failed
from bench.harness import Ground
from bench.run import Work, run
from bench.server_process import Servant


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with (
        Servant("bench.queue_server", cpu=None) as sqs,
        Servant("bench.sink", cpu=None) as sink,
    ):
        yield Ground(sqs, sink, None, tmp_path / "contestants.log")


def script(code: str) -> Contestant:
    command = (sys.executable, "-c", code)
    return Contestant(name="a script", command=command, messages=1, about="")


TOLD = r"(?s)a script has ended with exit code 3.*no key"

DIES = "print('no key'); raise SystemExit(3)"

ASKS_ONCE = """
import os, urllib.request as web
head = {"x-amz-target": "AmazonSQS.ReceiveMessage", "content-type": "application/x-amz-json-1.0"}
body = ('{"QueueUrl":"%s","WaitTimeSeconds":1}' % os.environ["BENCH_QUEUE"]).encode()
web.urlopen(web.Request(os.environ["AWS_ENDPOINT_URL"], body, head)).read()
"""


async def test_one_that_ends_before_it_is_ready(ground: Ground) -> None:
    with pytest.raises(Failed, match=TOLD):
        async with ground.course(script(DIES)):
            pass


async def test_one_that_ends_before_the_queue_is_empty(ground: Ground) -> None:
    work = Work(name="some", about="", size=300)
    with pytest.raises(Failed, match=TOLD):
        await run(ground, script(ASKS_ONCE + DIES), work)
