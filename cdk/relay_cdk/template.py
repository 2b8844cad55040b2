"""The template that is committed to the repository, so that a diff shows what a change does.

`make synth` writes it; a test checks that it is current. Hashes of the bundle are replaced by a
placeholder, because they change with every line of the relay.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from relay_cdk.app import add_stack, checked_app
from relay_cdk.options import Options

COMMITTED = Path(__file__).parents[1] / "template.json"

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
    """Write the committed template, from the defaults of all options."""
    with tempfile.TemporaryDirectory() as folder:
        template = synthesize(Path(folder), {"default": Options()})["default"]
        COMMITTED.write_text(without_hashes(template.read_text()))
    sys.stdout.write(f"{COMMITTED}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
