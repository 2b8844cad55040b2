"""The zip that Elastic Beanstalk runs. The same tree gives the same bytes on any machine."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT = ROOT / "dist" / "relay.zip"

FILES = ("Procfile", "requirements.txt", "cron.yaml")
"""Single files. `cron.yaml` is optional."""

FOLDERS = (".ebextensions", ".platform", "relay")

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold. A file's own time differs in each checkout."""


def contents(root: Path) -> Iterator[Path]:
    """The bundle's files below `root`, sorted by their path in the zip."""
    found = [root / name for name in FILES if (root / name).is_file()]
    found += (
        path
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    )
    return iter(sorted(found, key=lambda path: path.relative_to(root).as_posix()))


def write(target: Path, root: Path = ROOT) -> None:
    """Write the bundle. Missing folders are created; an older bundle is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    # Stored, not compressed: two builds of zlib may compress the same bytes differently.
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as bundle:
        for path in contents(root):
            bundle.writestr(_entry(path, root), path.read_bytes())
    part.replace(target)


def _entry(path: Path, root: Path) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), EPOCH)
    entry.create_system = 3  # Unix on any machine; without it, the mode below has no meaning.
    # The platform refuses hooks that are not executable; on Windows, git may lose the mode.
    mode = 0o755 if path.suffix == ".sh" else 0o644
    entry.external_attr = (0o100000 | mode) << 16
    return entry


def main(arguments: list[str]) -> int:
    """Write the bundle to the path given, or to `dist/relay.zip`."""
    target = Path(arguments[0]) if arguments else DEFAULT
    write(target)
    sys.stdout.write(f"{target} {target.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
