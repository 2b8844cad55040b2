"""The CDK app: one stack, configured by the context and checked by cdk-nag.

Run as `python -m relay_cdk.app`, which is what `cdk.json` does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from relay_cdk.acknowledgements import acknowledge
from relay_cdk.checks import check_region
from relay_cdk.context import from_context
from relay_cdk.options import BadOption, Options
from relay_cdk.stack import RelayStack

FEATURE_FLAGS = Path(__file__).with_name("feature_flags.json")
"""What the CDK recommends for new apps: without it, the command line warns at each synthesis."""


def add_stack(app: cdk.App, options: Options) -> RelayStack:
    """Add the stack of one deployment to the app."""
    stack = RelayStack(app, options.name, options)
    acknowledge(stack.relay)
    return stack


def checked_app(folder: Path | None = None, context: Mapping[str, object] | None = None) -> cdk.App:
    """An app whose synthesis fails if cdk-nag finds anything.

    It writes to `folder`, or else to the directory that the CDK's command line sets. The context is
    the command line's and `context`.
    """
    flags = json.loads(FEATURE_FLAGS.read_text())
    app = cdk.App(outdir=str(folder) if folder else None, context={**flags, **(context or {})})
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def synthesize(app: cdk.App) -> int:
    """Synthesize the stack that the app's context describes. Returns 2 if the context is wrong."""
    try:
        options = from_context(app.node.get_all_context())
        # The CDK's command line knows the region from the credentials.
        check_region(options, os.environ.get("CDK_DEFAULT_REGION"))
        add_stack(app, options)
    except BadOption as error:
        sys.stderr.write(f"{error}\n")
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(synthesize(checked_app()))
