"""The gateway as a function with a URL of its own."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from relay_cdk.gateway_checks import FUNCTION_TIMEOUT
from relay_cdk.lambda_function import function_code, function_role, json_logging, vpc_of
from relay_cdk.options import Options
from relay_cdk.workload import Workload

HANDLER = "relay.app.gateway_function.handler"


class GatewayFunction(Construct):
    """The function, its role and its URL, which anybody may reach: event keys protect it."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        workload: Workload,
        extras: Sequence[str],
    ) -> None:
        super().__init__(scope, ident)
        self.role = function_role(self, workload)
        code = function_code(self, options, extras)
        placement = workload.placement
        self.function = lambda_.CfnFunction(
            self,
            "Function",
            function_name=options.gateway_name,
            description="An event API in front of SQS",
            runtime=f"python{options.python}",
            architectures=[options.processor],
            handler=HANDLER,
            code=lambda_.CfnFunction.CodeProperty(
                s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key
            ),
            role=self.role.role_arn,
            timeout=int(FUNCTION_TIMEOUT),
            memory_size=options.function_memory,
            environment=lambda_.CfnFunction.EnvironmentProperty(variables=dict(workload.variables)),
            logging_config=json_logging(workload.log_group.log_group_name),
            # With `worker=lambda` the option is the other function's.
            reserved_concurrent_executions=(
                options.reserved_concurrency if options.worker != "lambda" else 0
            )
            or None,
            vpc_config=vpc_of(self, placement) if placement else None,
        )
        self.function.node.add_dependency(self.role.node.find_child("DefaultPolicy"))
        self.url = lambda_.CfnUrl(
            self, "Url", auth_type="NONE", target_function_arn=self.function.attr_arn
        )
        self._allow_anybody()

    def _allow_anybody(self) -> None:
        """Since October 2025 a URL needs both permissions."""
        for ident, action, more in (
            ("UseUrl", "lambda:InvokeFunctionUrl", {"function_url_auth_type": "NONE"}),
            ("Invoke", "lambda:InvokeFunction", {"invoked_via_function_url": True}),
        ):
            lambda_.CfnPermission(
                self,
                ident,
                action=action,
                function_name=self.function.attr_arn,
                principal="*",
                **more,
            )
