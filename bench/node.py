"""The contestants on Node: sqs-consumer with each of its two handlers."""

from __future__ import annotations

import shutil
import subprocess

from bench.contestant import BUILD, HERE, Contestant
from bench.server_process import BenchmarkFailed

PATIENCE = 120.0
"""Seconds for npm, which may have to wait for the registry."""


def node() -> tuple[Contestant, Contestant]:
    """One POST per message, and one per batch. Their packages are installed into `build/bench`.

    Raises:
        BenchmarkFailed: with the reason why they cannot run.
    """
    version = _installed()

    def of(handler: str, messages: int, about: str) -> Contestant:
        return Contestant(
            name=f"sqs-consumer, {handler}",
            command=("node", "consumer.mjs", handler),
            messages=messages,
            about=f"{version}, {about}",
            directory=BUILD,
        )

    return (
        of("each", 1_500, "receives ten at a time, one POST per message"),
        of("batch", 3_000, "batch handler, one POST per batch of ten"),
    )


def _installed() -> str:
    if not (shutil.which("node") and shutil.which("npm")):
        raise BenchmarkFailed("Node and npm are not installed")
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "consumer.mjs"):
        shutil.copy(HERE / "peers" / name, BUILD)
    if not (BUILD / "node_modules" / "sqs-consumer").exists():
        _run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
    script = "process.stdout.write(require('./node_modules/sqs-consumer/package.json').version)"
    return f"sqs-consumer {_run('node', '-e', script)} on Node {_run('node', '--version')}"


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=BUILD, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(f"{' '.join(command[:2])} took more than {PATIENCE:.0f} s") from error
    if done.returncode:
        raise BenchmarkFailed(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
