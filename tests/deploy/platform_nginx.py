"""The real nginx, set up as the platform does, with our files merged in."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from relay.local.processes import free_port

HERE = Path(__file__).parent
OURS = HERE.parents[1] / ".platform" / "nginx"
STOP_PATIENCE = 2.0
"""The platform lets nginx finish its requests for a few seconds, then kills it."""


class PlatformNginx:
    """nginx on a loopback port in front of an application's port.

    Args:
        directory: everything of it is in here.
        application: the port that the platform proxies to.
        ours: whether the bundle's files are merged in.
        hurry: every time in our files is divided by this; the platform's default of 60 s for an
            answer is put in, so divided, where our files set none.
    """

    def __init__(
        self, directory: Path, application: int, *, ours: bool = True, hurry: int = 1
    ) -> None:
        self.port = free_port()
        self._directory = directory
        self._application = application
        self._ours = ours
        self._hurry = hurry
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._write()
        await self.check()
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def check(self) -> None:
        """`nginx -t`, which decides over a deployment."""
        process = await self._run("-t")
        _, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()

    async def start(self) -> None:
        self._process = await self._run("-g", "daemon off;")
        async with asyncio.timeout(10):
            while not await self._listens():  # noqa: ASYNC110 - nginx tells nobody
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """As the platform: finish what is under way, for a while."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGQUIT)
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await process.wait()
        except TimeoutError:
            # To the master alone this would orphan its workers, which it started in its group.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def logged(self) -> str:
        """The access log."""
        return (self._directory / "access.log").read_text()

    def _write(self) -> None:
        inside = self._directory / "conf.d" / "elasticbeanstalk"
        inside.mkdir(parents=True)
        user = "user root;" if os.geteuid() == 0 else ""
        main = (HERE / "nginx.conf").read_text().replace("USER", user, 1)
        (self._directory / "nginx.conf").write_text(main.replace("PORT", str(self.port)))
        location = (HERE / "nginx_location.conf").read_text()
        location = location.replace("APPLICATION", str(self._application))
        (inside / "00_application.conf").write_text(location)
        if self._ours:
            for path in OURS.rglob("*.conf"):
                target = self._directory / path.relative_to(OURS)
                target.write_text(self._hurried(path.read_text()))
        else:
            (self._directory / "conf.d" / "default.conf").write_text(
                self._hurried("proxy_read_timeout 60s;\n")
            )

    def _hurried(self, text: str) -> str:
        return re.sub(
            r"\b(\d+)s;", lambda found: f"{int(found[1]) * 1_000 // self._hurry}ms;", text
        )

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            nginx(),
            *("-p", str(self._directory), "-c", "nginx.conf", "-e", "error.log", *arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE if "-t" in arguments else asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _listens(self) -> bool:
        assert self._process
        assert self._process.returncode is None, (self._directory / "error.log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


def nginx() -> str:
    """nginx's program, or nothing where there is none. Debian has it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
