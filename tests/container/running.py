"""Runs the image's command in its root file system, as a container engine would start it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.container.dockerfile import Stage

_MOUNTS = """
mount --bind "$1" "$1"
mount -t proc -o ro proc "$1/proc"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for device in null zero urandom; do
  touch "$1/dev/$device"
  mount --bind "/dev/$device" "$1/dev/$device"
done
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
root=$1; uid=$2; gid=$3; shift 3
exec unshare --root="$root" --wd=/tmp --setgid="$gid" --setuid="$uid" "$@"
"""
"""A read-only root, and what is writable in `docker run --read-only --tmpfs /tmp`."""


class Container:
    """One run of the image: process 1 of its own namespaces, as the image's user, on loopback.

    Args:
        root: the root file system.
        stage: the Dockerfile's last stage, for the command, the user and the variables.
        variables: what `docker run --env` adds.
        output: the file that standard output and error are written to.
        command: what replaces the image's `CMD`.
    """

    def __init__(
        self,
        root: Path,
        stage: Stage,
        variables: Mapping[str, str],
        output: Path,
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._root, self._stage, self._output = root, stage, output
        self._environment = {**stage.environment(), **variables}
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        command = self._command or tuple(self._stage.last("CMD").array)
        entry = self._stage.last("ENTRYPOINT").array
        with self._output.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *("/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("/bin/sh", "-ec", _MOUNTS, "sh", str(self._root), *self._user),
                *(self._program(entry[0]), *entry[1:], *command),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._started
        if process.returncode is None:
            process.kill()
        await process.wait()

    @property
    def pid(self) -> int:
        """The pid of its process 1, as the host sees it, once it answers."""
        unshare = self._started.pid
        (child,) = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        return int(child)

    @property
    def running(self) -> bool:
        return self._started.returncode is None

    @property
    def text(self) -> str:
        """What it printed."""
        return self._output.read_text(errors="replace")

    def status(self, name: str) -> str:
        """A field of the process's status, such as `Uid`."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        lines = dict(line.split(":\t", 1) for line in text.splitlines())
        return lines[name].strip()

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `docker exec` and health checks do."""
        uid, gid = self._user
        return subprocess.run(
            [
                *("/usr/bin/nsenter", f"--target={self.pid}", "--mount", "--pid", "--root"),
                *("--wd=/tmp", f"--setuid={uid}", f"--setgid={gid}"),
                *(self._program(command[0]), *command[1:]),
            ],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    async def stop(self, number: int) -> int:
        """Send the signal to process 1, as an engine does, and wait for its exit code."""
        os.kill(self.pid, number)
        return await self.finished()

    async def finished(self) -> int:
        """Wait for its end; the exit code."""
        return await self._started.wait()

    @property
    def _user(self) -> tuple[str, str]:
        uid, _, gid = self._stage.last("USER").value.partition(":")
        return uid, gid

    @property
    def _started(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    def _program(self, name: str) -> str:
        """The path of a program of the image: exec looks it up in the host's PATH otherwise."""
        folders = self._environment["PATH"].split(":")
        return next(
            path
            for path in (f"{folder}/{name}" for folder in folders)
            if os.path.lexists(self._root / path.lstrip("/"))
        )
