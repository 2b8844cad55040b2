"""What is committed to the repository of a deployment, so that a diff shows what a change does.

`make synth` writes the template of the defaults to `cdk/`, and the plain files to `deploy/`; a test
checks that they are current. Hashes of the bundle are replaced by a
placeholder, because they change with every line of the relay.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from relay_cdk.app import add_stack, checked_app
from relay_cdk.options import Options
from relay_cdk.plain import NAME, plain_files

COMMITTED = Path(__file__).parents[1] / "template.json"
PLAIN = Path(__file__).parents[2] / "deploy"

_HASH = re.compile(r"\b[0-9a-f]{64}\b")


def without_hashes(template: str) -> str:
    """The template's text without what depends on the bundle."""
    return _HASH.sub("<hash>", template).rstrip() + "\n"


def synthesize(folder: Path, deployments: dict[str, Options]) -> dict[str, Path]:
    """Synthesize one stack for each deployment into `folder`; returns the templates by name.

    Raises:
        RuntimeError: cdk-nag found something; the text says what.
    """
    app = checked_app(folder)
    stacks = {name: add_stack(app, options) for name, options in deployments.items()}
    app.synth()
    return {name: folder / stack.template_file for name, stack in stacks.items()}


def main() -> int:
    """Write the committed template, from the defaults of all options, and the plain files."""
    with tempfile.TemporaryDirectory() as folder:
        deployments = {"default": Options(), "plain": Options(name=NAME)}
        templates = synthesize(Path(folder), deployments)
        COMMITTED.write_text(without_hashes(templates["default"].read_text()))
        plain = plain_files(json.loads(templates["plain"].read_text()))
    PLAIN.mkdir(exist_ok=True)
    for name, text in plain.items():
        (PLAIN / name).write_text(text)
    sys.stdout.write(f"{COMMITTED}\n{PLAIN}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
