"""What runs on Node: sqs-consumer in both of its ways."""

from __future__ import annotations

import shutil
import subprocess

from bench.contestant import BUILD, HERE, Contestant
from bench.failure import Failed

PATIENCE = 120.0
"""Seconds for npm, which may have to wait for its registry."""


def node() -> tuple[Contestant, Contestant]:
    """One POST a message, and one a batch. What they need is installed into `build/bench`.

    Raises:
        Failed: with the reason why it cannot be.
    """
    version = _installed()

    def of(way: str, messages: int, about: str) -> Contestant:
        return Contestant(
            name=f"sqs-consumer, {way}",
            command=("node", "consumer.mjs", way),
            messages=messages,
            about=f"{version}, {about}",
            directory=BUILD,
        )

    return (
        of("each", 1_500, "ten received at a time, one POST a message"),
        of("batch", 3_000, "its batch handler, one POST a batch of ten"),
    )


def _installed() -> str:
    if not (shutil.which("node") and shutil.which("npm")):
        raise Failed("Node and npm are not installed")
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
        raise Failed(f"{' '.join(command[:2])} took more than {PATIENCE:.0f} s") from error
    if done.returncode:
        raise Failed(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
