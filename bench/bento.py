"""The contestant on Go: Bento, a stream processor, with SQS as its input and HTTP as its output.

It takes part if `BENCH_BENTO` has the path of its program, version 1.20 or newer. Nothing is
downloaded or built here.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bench.contestant import BUILD, Contestant
from bench.server_process import BenchmarkFailed

PROGRAM = "BENCH_BENTO"
OLDEST = (1, 20)

MESSAGES = 10_000

SETUPS = ((100, 4), (10, 1))
"""Events in a POST, and inputs as well as POSTs at a time."""

_CONFIG = """\
http:
  enabled: false
logger:
  level: WARN
input:
  broker:
    copies: {copies}
    inputs:
      - aws_sqs:
          url: ${{BENCH_QUEUE}}
          endpoint: ${{AWS_ENDPOINT_URL}}
          region: ${{AWS_REGION}}
          credentials:
            id: ${{AWS_ACCESS_KEY_ID}}
            secret: ${{AWS_SECRET_ACCESS_KEY}}
          max_number_of_messages: 10
          wait_time_seconds: 20
output:
  http_client:
    url: ${{BENCH_URL}}
    verb: POST
    headers:
      Content-Type: application/json
    max_in_flight: {copies}
    batching:
      count: {batch}
      byte_size: 1000000 # as Relay's: event APIs refuse larger requests
      period: 100ms
      processors:
        - archive:
            format: json_array
"""


def bento(program: str | None = None) -> tuple[Contestant, ...]:
    """Bento in both of its setups.

    Args:
        program: the path of its program; that of the environment if it is not given.

    Raises:
        BenchmarkFailed: with the reason why it cannot run.
    """
    found = program or os.environ.get(PROGRAM)
    if not found:
        raise BenchmarkFailed(f"{PROGRAM} does not have the path of its program")
    version = _version(found)
    return tuple(_contestant(found, version, *one) for one in SETUPS)


def _contestant(program: str, version: str, batch: int, copies: int) -> Contestant:
    BUILD.mkdir(parents=True, exist_ok=True)
    config = BUILD / f"bento-{batch}x{copies}.yaml"
    config.write_text(_CONFIG.format(batch=batch, copies=copies))
    inputs = "one input" if copies == 1 else f"{copies} inputs"
    posts = "one POST" if copies == 1 else f"{copies} POSTs"
    return Contestant(
        name=f"Bento, {batch} x {copies}",
        command=(str(Path(program).resolve()), "-c", str(config)),
        messages=MESSAGES,
        about=f"Bento {version}, {inputs}, batches of {batch}, {posts} at a time",
    )


def _version(program: str) -> str:
    try:
        done = subprocess.run(
            (program, "--version"), capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkFailed(f"{program} cannot be run: {error}") from error
    found = re.search(r"Version: v?((\d+)\.(\d+)[\w.+-]*)", done.stdout)
    if not found:
        raise BenchmarkFailed(f"{program} --version names no version")
    if (int(found[2]), int(found[3])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BenchmarkFailed(f"{program} is version {found[1]}; {oldest} or newer is needed")
    return found[1]
