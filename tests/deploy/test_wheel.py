"""The wheel brings the construct, and what it needs to write the bundle without a repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from relay_cdk import bundle
from tests.deploy.conftest import ROOT


@pytest.mark.fresh_venv
def test_an_installed_construct_writes_the_bundle_of_the_repository(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*build, str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(installed)
    # A top-level module `cdk` would be in everybody's way.
    assert {p.name for p in installed.iterdir() if p.suffix != ".dist-info"} == {
        "relay",
        "relay_cdk",
    }
    subprocess.run(
        [sys.executable, "-m", "relay_cdk.bundle", "dist.zip"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        check=True,
    )
    bundle.write(tmp_path / "repository.zip")
    assert (tmp_path / "dist.zip").read_bytes() == (tmp_path / "repository.zip").read_bytes()
