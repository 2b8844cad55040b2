"""Builds the image's root file system without a container engine, and runs commands in it.

The instructions of the Dockerfile are carried out one by one in a fresh Debian, which stands in for
the Python image: the same distribution, with its own Python where the image has a newer one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.container.dockerfile import ROOT, Stage, assigned, context, stages

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
BUILDING = 300.0
HOST_FILES = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
"""What a build container has from its host: name servers, and here the certificates for pip too."""

INHERITED = ("PIP_INDEX_URL", "PIP_CERT", "https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE")


def missing_tool() -> str | None:
    """Why no root file system can be built here, or None."""
    if os.geteuid() != 0:
        return "needs root for chroot and mounts"
    if shutil.which("mmdebstrap") is None:
        return "needs mmdebstrap"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False)
    return "needs the right to create namespaces" if tried.returncode else None


def build(folder: Path) -> Path:
    """Carry out the Dockerfile in this folder; the root of its last stage."""
    base = folder / "base"
    _run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(base)])
    # The official images have their Python and pip in /usr/local.
    _chroot(base, "python3 -m venv /usr/local", {"PATH": "/usr/bin:/bin"})
    built: dict[str, Path] = {}
    for stage in stages():
        root = built[stage.name] = folder / stage.name
        _run(["cp", "--archive", "--reflink=auto", str(base), str(root)])
        _build_stage(stage, root, built)
    for path in folder.iterdir():
        if path != root:
            shutil.rmtree(path)
    return root


def size(root: Path, path: str = "") -> int:
    """Megabytes of the files below a path of the root file system."""
    found = _run(["du", "--summarize", "--block-size=1M", "--one-file-system", str(root / path)])
    return int(found.split()[0])


def _build_stage(stage: Stage, root: Path, built: Mapping[str, Path]) -> None:
    environment, workdir = {"PATH": stage.environment()["PATH"]}, "/"
    for one in stage.instructions:
        if one.name in ("ENV", "ARG"):
            environment |= assigned(one, environment)
        elif one.name == "WORKDIR":
            workdir = one.value
            (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif one.name == "COPY":
            _copy(one.words, root, root / workdir.lstrip("/"), built)
        elif one.name == "RUN":
            _chroot(root, f"cd {workdir} && {one.value}", environment)


def _copy(words: Sequence[str], root: Path, workdir: Path, built: Mapping[str, Path]) -> None:
    """Carry out a `COPY`: from another stage, or the files of the build context."""
    *options, target = words
    if options[0].startswith("--from="):
        source = built[options.pop(0).removeprefix("--from=")] / options[0].lstrip("/")
        shutil.copytree(source, root / target.lstrip("/"), symlinks=True)
        return
    for source in map(Path, options):
        files = [file for file in context() if file.is_relative_to(source)]
        assert files, f"COPY {source}: .dockerignore lets no such file through"
        for file in files:
            inner = file.relative_to(source) if (ROOT / source).is_dir() else Path(file.name)
            goal = workdir / target / inner
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, goal)


def _chroot(root: Path, command: str, environment: Mapping[str, str]) -> None:
    """Run a shell command in the root file system, as root, with the host's network."""
    mounts = ["mount -t proc proc proc", "mount --rbind /dev dev"]
    for path in HOST_FILES:
        if Path(path).exists():
            (root / path.lstrip("/")).touch()
            mounts.append(f"mount --bind {path} {path.lstrip('/')}")
    script = " && ".join([*mounts, 'exec chroot . /usr/bin/env -i "$@"'])
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    variables = [f"{name}={value}" for name, value in {**inherited, **environment}.items()]
    inner = [*variables, "/bin/sh", "-ec", command]
    _run(["unshare", "--mount", "sh", "-ec", script, "sh", *inner], cwd=root)


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    ended = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILDING,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout
