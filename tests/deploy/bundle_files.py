"""The bundle's files as the platform reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # it ships no types

ROOT = Path(__file__).parents[2]
EXTENSIONS = sorted((ROOT / ".ebextensions").glob("*.config"))
NGINX = ROOT / ".platform" / "nginx" / "conf.d"

UNITS = {"k": 1_024, "m": 1_048_576, "s": 1, "": 1}


def extensions() -> dict[tuple[str, str], str]:
    """All option settings of `.ebextensions` by namespace and name, merged in the files' order."""
    merged: dict[tuple[str, str], str] = {}
    for path in EXTENSIONS:
        for namespace, group in (loaded(path).get("option_settings") or {}).items():
            merged |= {(namespace, name): value for name, value in group.items()}
    return merged


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def nginx(directive: str) -> list[int]:
    """The values of a directive in our nginx files, in bytes or seconds."""
    text = "\n".join(path.read_text() for path in sorted(NGINX.rglob("*.conf")))
    (found,) = re.findall(rf"^{directive}\s+([^;]+);", text, re.MULTILINE)
    return [int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([kms]?)\b", found)]
