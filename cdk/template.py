"""The template that is kept in the repository, so that a diff shows what a change would do.

`make synth` writes it; a test keeps it current. Hashes of the bundle are replaced by a placeholder,
for they change with every line of the relay.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from cdk.app import add_stack, checked_app
from cdk.options import Options

KEPT = Path(__file__).with_name("template.json")

_HASH = re.compile(r"\b[0-9a-f]{64}\b")


def without_hashes(template: str) -> str:
    """The template's text, the same for every bundle."""
    return _HASH.sub("<hash>", template).rstrip() + "\n"


def synthesize(folder: Path, deployments: dict[str, Options]) -> dict[str, Path]:
    """Synthesize one stack for each deployment into `folder`; the templates by the same names.

    Raises:
        RuntimeError: cdk-nag found something; its text says what.
    """
    app = checked_app(folder)
    stacks = {name: add_stack(app, options) for name, options in deployments.items()}
    app.synth()
    return {name: folder / stack.template_file for name, stack in stacks.items()}


def main() -> int:
    """Write the kept template anew, from the defaults of all options."""
    with tempfile.TemporaryDirectory() as folder:
        template = synthesize(Path(folder), {"default": Options()})["default"]
        KEPT.write_text(without_hashes(template.read_text()))
    sys.stdout.write(f"{KEPT}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
