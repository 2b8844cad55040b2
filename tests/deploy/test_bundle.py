"""The zip: its files, their order and modes, and that its bytes are reproducible."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pathspec
import pytest

from relay_cdk import bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the bundle's files, together with files that must not be in it."""
    copy = tmp_path / "tree"
    for name, path in bundle.contents(ROOT).items():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name in ("relay/__pycache__/cli.cpython-311.pyc", "tests/test_x.py", ".env", "README.md"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("x")
    return copy


def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    bundle.write(tmp_path / "one.zip", tree)
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode | 0o077)
    bundle.write(tmp_path / "other.zip", tree)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_it_contains_what_the_platform_needs_and_nothing_else(tree: Path, tmp_path: Path) -> None:
    bundle.write(tmp_path / "b.zip", tree)
    names = zipfile.ZipFile(tmp_path / "b.zip").namelist()
    assert names == sorted(names)
    assert {"Procfile", "requirements.txt", "relay/__main__.py", "relay/py.typed"} <= set(names)
    assert not [n for n in names if "pycache" in n or n.startswith((".env", "tests", "README"))]


def test_it_contains_a_cron_yaml_if_there_is_one(tree: Path, tmp_path: Path) -> None:
    (tree / "cron.yaml").write_text("version: 1\n")
    bundle.write(tmp_path / "b.zip", tree)
    assert "cron.yaml" in zipfile.ZipFile(tmp_path / "b.zip").namelist()


def test_only_hooks_are_executable(tree: Path, tmp_path: Path) -> None:
    bundle.write(tmp_path / "b.zip", tree)
    for entry in zipfile.ZipFile(tmp_path / "b.zip").infolist():
        hook = entry.filename.startswith((".platform/hooks", ".platform/confighooks"))
        assert bool(entry.external_attr >> 16 & 0o111) == hook, entry.filename


# The EB command line reads .ebignore with this library and the first of these pattern styles. Git
# and later versions of the library use the second.
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
@pytest.mark.parametrize("reading", ["gitwildmatch", "gitignore"])
def test_eb_deploy_uploads_the_same_files(tree: Path, reading: str) -> None:
    patterns = (ROOT / ".ebignore").read_text().splitlines()
    spec = pathspec.PathSpec.from_lines(reading, patterns)
    files = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    taken = {name for name in files if not spec.match_file(name)}
    assert taken == set(bundle.contents(tree))


def test_hooks_are_executable_in_the_repository_too() -> None:
    # `eb deploy` zips the files as git checked them out.
    listing = subprocess.run(
        ["git", "ls-files", "--stage", ".platform"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not in a git checkout")
    for line in listing.stdout.splitlines():
        assert line.startswith("100755") == line.endswith(".sh"), line


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_requirements_are_pinned_by_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    # A hash for one makes pip require one for all.
    for line in text.replace("\\\n", " ").splitlines():
        pinned = re.fullmatch(
            r"[\w.\[\]-]+==[\w.]+( ;[^#\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", line
        )
        assert pinned, line
    assert "://" not in text
    assert "index" not in text
