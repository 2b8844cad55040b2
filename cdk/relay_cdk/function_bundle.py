"""The zip that Lambda runs: the relay and all its libraries for one Python and processor.

A zip and not an image, because it needs neither Docker nor a registry, and because AWS patches the
Python below it. pip chooses wheels for the function's platform, so it can be built on any machine.
"""

from __future__ import annotations

import argparse
import compileall
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

from relay_cdk import requirements
from relay_cdk.bundle import EPOCH, PACKAGE, ROOT, contents
from relay_cdk.options import BadOption

DEFAULT = Path("dist") / "relay-lambda.zip"

PLATFORMS = {"arm64": "aarch64", "x86_64": "x86_64"}
"""The name of each of Lambda's architectures in wheels."""

GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
"""What Amazon Linux 2023, with glibc 2.34, can run."""

LIMIT = 250 * 1_048_576
"""Lambda's limit for the unzipped code, in bytes."""

LEFT_OUT = ("bin", "*.dist-info/RECORD", "**/tests", "**/__pycache__")
"""Not needed at run time, or different in each installation."""


def write(
    target: Path,
    root: Path = ROOT,
    *,
    python: str,
    architecture: str,
    extras: Sequence[str] = (),
) -> None:
    """Install the relay's requirements for the platform and write them with the relay's code.

    Raises:
        BadOption: pip failed, or the code is too large for Lambda.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relay-function-") as directory:
        folder = Path(directory)
        install(folder, root, python=python, architecture=architecture, extras=extras)
        pack(folder, root, target, python=python)


def install(
    folder: Path, root: Path, *, python: str, architecture: str, extras: Sequence[str] = ()
) -> None:
    """Install the pinned requirements into the folder, from wheels only."""
    text = requirements.with_extras((root / requirements.NAME).read_text(), extras)
    pinned = folder / requirements.NAME
    pinned.write_text(text)
    platforms = [f"--platform={glibc}_{PLATFORMS[architecture]}" for glibc in GLIBC]
    command = (
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"),
        *(f"--python-version={python}", "--implementation=cp", *platforms),
        *("--requirement", str(pinned), "--target", str(folder / "code")),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise BadOption(
            f"the libraries of the function could not be installed with pip: {_last(done.stderr)}"
        )


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]


def pack(folder: Path, root: Path, target: Path, *, python: str) -> None:
    """Write the zip. With the function's own Python, its modules are compiled too."""
    code = folder / "code"
    for pattern in LEFT_OUT:
        for path in sorted(code.glob(pattern), reverse=True):
            _remove(path)
    for name, path in contents(root).items():
        if name.startswith(f"{PACKAGE}/"):
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_bytes(path.read_bytes())
    if python == "{}.{}".format(*sys.version_info):
        _compile(code)
    files = list(_files(code))
    size = sum(path.stat().st_size for path in files)
    if size > LIMIT:
        raise BadOption(
            f"the function's code takes {size:,} bytes, and Lambda allows {LIMIT:,}: run `relay"
            " poll` in a container (worker=fargate), or send to fewer kinds of destinations"
        )
    _zip(code, files, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _remove(inner)
        path.rmdir()
    else:
        path.unlink()


def _compile(code: Path) -> None:
    # The file system of a function is read-only: without bytecode each cold start would compile.
    # By path, times would be compared, and a zip has none of its own.
    mode = PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(code, quiet=2, stripdir=str(code), invalidation_mode=mode)


def _files(code: Path) -> Iterator[Path]:
    yield from sorted(path for path in code.rglob("*") if path.is_file())


def _zip(code: Path, files: Sequence[Path], target: Path) -> None:
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(code).as_posix(), EPOCH)
            entry.create_system = 3  # Unix, so that the mode below has a meaning.
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    part.replace(target)


def main() -> int:
    """Write the zip to the path given, or to `dist/relay-lambda.zip`."""
    parser = argparse.ArgumentParser(
        prog="python -m relay_cdk.function_bundle", description=main.__doc__
    )
    parser.add_argument("target", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--python", default="3.13")
    parser.add_argument("--architecture", default="arm64", choices=sorted(PLATFORMS))
    parser.add_argument("--extra", action="append", default=[], choices=sorted(requirements.EXTRAS))
    given = parser.parse_args()
    try:
        write(
            given.target,
            python=given.python,
            architecture=given.architecture,
            extras=given.extra,
        )
    except BadOption as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{given.target} {given.target.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
