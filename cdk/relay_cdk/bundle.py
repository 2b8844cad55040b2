"""The zip that Elastic Beanstalk runs. The same tree gives the same bytes on any machine."""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import relay
from relay_cdk import requirements

_INSTALLED = Path(__file__).parent / "tree"

ROOT = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2]
"""The platform's files: a part of the wheel, or else the repository."""

DEFAULT = Path("dist") / "relay.zip"

FILES = ("Procfile", "requirements.txt", "cron.yaml")
"""Single files. `cron.yaml` is optional."""

FOLDERS = (".ebextensions", ".platform")
PACKAGE = "relay"

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold. A file's own time differs in each checkout."""


def contents(root: Path = ROOT) -> dict[str, Path]:
    """The bundle's files by their path in the zip, sorted. The code is `root`'s, if it has any."""
    package = root / PACKAGE if (root / PACKAGE).is_dir() else Path(relay.__file__).parent
    found = {name: root / name for name in FILES if (root / name).is_file()}
    folders = [*((root, root / name) for name in FOLDERS), (package.parent, package)]
    for base, folder in folders:
        found |= {p.relative_to(base).as_posix(): p for p in folder.rglob("*") if _belongs(p)}
    return dict(sorted(found.items()))


def _belongs(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"


def write(target: Path, root: Path = ROOT, *, extras: Sequence[str] = ()) -> None:
    """Write the bundle, with the requirements of these extras.

    Missing folders are created; an older bundle is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    # Stored, not compressed: two builds of zlib may compress the same bytes differently.
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as bundle:
        for name, path in contents(root).items():
            content = path.read_bytes()
            if name == requirements.NAME:
                content = requirements.with_extras(content.decode(), extras).encode()
            bundle.writestr(_entry(name), content)
    part.replace(target)


def requirements_of(bundle: Path) -> str:
    """The requirements file in a bundle."""
    with zipfile.ZipFile(bundle) as packed:
        return packed.read(requirements.NAME).decode()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # Unix on any machine; without it, the mode below has no meaning.
    # The platform refuses hooks that are not executable; on Windows, git may lose the mode.
    mode = 0o755 if name.endswith(".sh") else 0o644
    entry.external_attr = (0o100000 | mode) << 16
    return entry


def main() -> int:
    """Write the bundle to the path given, or to `dist/relay.zip`."""
    parser = argparse.ArgumentParser(prog="python -m relay_cdk.bundle", description=main.__doc__)
    parser.add_argument("target", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--extra", action="append", default=[], choices=sorted(requirements.EXTRAS))
    given = parser.parse_args()
    write(given.target, extras=given.extra)
    sys.stdout.write(f"{given.target} {given.target.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
