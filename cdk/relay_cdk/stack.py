"""The stack of one deployment: a relay, and outputs that can be pasted."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from relay_cdk.options import Options
from relay_cdk.outputs import outputs
from relay_cdk.relay import Relay


class RelayStack(cdk.Stack):
    """A relay in a stack of its own."""

    def __init__(self, scope: Construct, ident: str, options: Options) -> None:
        # Without the check of the bootstrap version: it is a parameter that only the CDK's own
        # command line handles.
        synthesizer = cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
        super().__init__(
            scope,
            ident,
            synthesizer=synthesizer,
            description="Relay: a durable SQS buffer in front of an event orchestrator",
            termination_protection=options.protect,
        )
        self.relay = Relay(self, "Relay", options)
        for name, (value, description) in outputs(self.relay).items():
            cdk.CfnOutput(self, name, value=value, description=description)
