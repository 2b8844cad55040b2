"""The function's zip has all that the relay imports, for the function's platform."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from relay_cdk import function_bundle
from relay_cdk.bundle import ROOT
from relay_cdk.options import BadOption

PYTHON = "{}.{}".format(*sys.version_info)
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
IMPORTS = "import relay.app.core, relay.aws.sqs, relay.destinations, aws_lambda_powertools"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libraries for this machine, the only ones that can be loaded here."""
    folder = tmp_path_factory.mktemp("installed")
    architecture = ARCHITECTURES[platform.machine()]
    function_bundle.install(folder, ROOT, python=PYTHON, architecture=architecture)
    return folder


@pytest.fixture(scope="module")
def here(installed: Path) -> Path:
    """The zip for this machine."""
    target = installed / "function.zip"
    function_bundle.pack(installed, ROOT, target, python=PYTHON)
    return target


def test_it_is_complete(here: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(here) as packed:
        packed.extractall(tmp_path)
    # Nothing of this environment: no site packages, no variables, no working directory.
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {IMPORTS}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_its_modules_are_compiled_so_that_a_cold_start_compiles_none(here: Path) -> None:
    with zipfile.ZipFile(here) as packed:
        names = set(packed.namelist())
        flags = packed.read(next(n for n in names if n.endswith(".pyc")))[4:8]
    assert "relay/__init__.py" in names
    assert any(n.startswith("relay/__pycache__/__init__.cpython-") for n in names)
    # Neither checked against a time, which a zip does not keep, nor against the source.
    assert int.from_bytes(flags, "little") == 1


def test_it_fits_into_a_function(here: Path) -> None:
    with zipfile.ZipFile(here) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    assert size < function_bundle.LIMIT / 1.5


def test_an_install_in_another_place_at_another_time_gives_the_same_bytes(
    installed: Path, here: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(installed / "code", moved / "code", copy_function=shutil.copyfile)
    function_bundle.pack(moved, ROOT, tmp_path / "again.zip", python=PYTHON)
    assert (tmp_path / "again.zip").read_bytes() == here.read_bytes()


def test_code_that_lambda_refuses_is_refused_here(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    with (tmp_path / "code" / "large.bin").open("wb") as file:
        file.truncate(function_bundle.LIMIT)
    with pytest.raises(BadOption, match="Lambda allows 262,144,000"):
        function_bundle.pack(tmp_path, ROOT, tmp_path / "out.zip", python="3.0")
    assert not (tmp_path / "out.zip").exists()


def test_what_pip_cannot_install_is_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("not a requirement !\n")
    with pytest.raises(BadOption, match=r"could not be installed with pip: .+"):
        function_bundle.write(tmp_path / "out.zip", tmp_path, python=PYTHON, architecture="arm64")
