"""The CDK app: one stack, configured by the context and checked by cdk-nag.

Run as `python -m relay_cdk.app`, which is what `cdk.json` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from relay_cdk.acknowledgements import acknowledge
from relay_cdk.options import BadOption, Options, from_context
from relay_cdk.stack import RelayStack


def add_stack(app: cdk.App, options: Options) -> RelayStack:
    """Add the stack of one deployment to the app."""
    stack = RelayStack(app, options.name, options)
    acknowledge(stack.relay)
    return stack


def checked_app(folder: Path | None = None) -> cdk.App:
    """An app whose synthesis fails if cdk-nag finds anything.

    It writes to `folder`, or else to the directory that the CDK's command line sets.
    """
    app = cdk.App(outdir=str(folder) if folder else None)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def main() -> int:
    """Synthesize into `CDK_OUTDIR`, or `cdk.out`. Returns 2 for an invalid context value."""
    app = checked_app()
    try:
        add_stack(app, from_context(app.node.get_all_context()))
    except BadOption as error:
        sys.stderr.write(f"{error}\n")
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
