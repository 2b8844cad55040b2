"""The real nginx, configured as the platform does, with our files added."""

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
"""The platform gives nginx a few seconds to finish its requests, then kills it."""


class PlatformNginx:
    """nginx on a loopback port in front of an application's port.

    Args:
        directory: for all files of nginx.
        application: the port to proxy to.
        ours: whether to add the bundle's files.
        speedup: divides every duration in our files. Without our files, the platform's default
            timeout of 60 s is set, divided as well.
    """

    def __init__(
        self, directory: Path, application: int, *, ours: bool = True, speedup: int = 1
    ) -> None:
        self.port = free_port()
        self._directory = directory
        self._application = application
        self._ours = ours
        self._speedup = speedup
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
        """`nginx -t`: if it fails, the deployment fails."""
        process = await self._run("-t")
        _, output = await process.communicate()
        assert process.returncode == 0, output.decode()

    async def start(self) -> None:
        self._process = await self._run("-g", "daemon off;")
        async with asyncio.timeout(10):
            while not await self._listens():  # noqa: ASYNC110 - nginx sends no signal
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop as the platform does: first let current requests finish, for a while."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGQUIT)
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await process.wait()
        except TimeoutError:
            # Killing only the master would orphan its workers, which are in its process group.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def logged(self, name: str = "access.log") -> str:
        """The access log, or the health agent's `healthd.log`."""
        return (self._directory / name).read_text()

    def _write(self) -> None:
        inside = self._directory / "conf.d" / "elasticbeanstalk"
        inside.mkdir(parents=True)
        user = "user root;" if os.geteuid() == 0 else ""
        main = (HERE / "nginx.conf").read_text().replace("USER", user, 1)
        (self._directory / "nginx.conf").write_text(main.replace("PORT", str(self.port)))
        location = (HERE / "nginx_location.conf").read_text()
        location = location.replace("APPLICATION", str(self._application))
        (inside / "00_application.conf").write_text(location)
        # The health agent reads a log of its own.
        (inside / "healthd.conf").write_text("access_log healthd.log main;\n")
        if self._ours:
            for path in OURS.rglob("*.conf"):
                target = self._directory / path.relative_to(OURS)
                target.write_text(self._sped_up(path.read_text()))
        else:
            (self._directory / "conf.d" / "default.conf").write_text(
                self._sped_up("proxy_read_timeout 60s;\n")
            )

    def _sped_up(self, text: str) -> str:
        return re.sub(
            r"\b(\d+)s;", lambda found: f"{int(found[1]) * 1_000 // self._speedup}ms;", text
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
    """The path of nginx, or an empty string. Debian installs it in root's path only."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
