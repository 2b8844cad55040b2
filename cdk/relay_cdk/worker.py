"""Elastic Beanstalk: application, application version and worker environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_elasticbeanstalk as elasticbeanstalk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from relay_cdk import roles
from relay_cdk.bundle import requirements_of, write
from relay_cdk.needs import needs_of
from relay_cdk.option_settings import settings
from relay_cdk.options import BadOption, Options
from relay_cdk.queues import Queues
from relay_cdk.requirements import missing_extras
from relay_cdk.storage import KEPT


class Worker(Construct):
    """A worker environment on the given queue, running the bundle."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        queues: Queues,
        network: Mapping[str, str],
        variables: Mapping[str, str],
        relay_policy: iam.ManagedPolicy,
    ) -> None:
        super().__init__(scope, ident)
        role = self.role = roles.instance_role(self, options, queues.main.queue_arn, relay_policy)
        profile = iam.CfnInstanceProfile(self, "InstanceProfile", roles=[role.role_name])
        service_role = self.service_role = roles.service_role(self)
        self.application = self._application(options)
        self.version = self._version(options, role)
        self.environment = elasticbeanstalk.CfnEnvironment(
            self,
            "Environment",
            application_name=options.name,
            environment_name=options.name,
            description="SQS to the orchestrator",
            platform_arn=_platform(options.platform_name),
            tier=elasticbeanstalk.CfnEnvironment.TierProperty(name="Worker", type="SQS/HTTP"),
            version_label=self.version.ref,
            option_settings=_listed(
                settings(
                    options,
                    queue_url=queues.main.queue_url,
                    queue_name=queues.name,
                    network=network,
                    variables=variables,
                    instance_profile=profile.ref,
                    service_role=service_role.role_name,
                )
            ),
        )
        # The instances need their permissions from the start.
        self.environment.node.add_dependency(role, relay_policy, self.application)

    def _application(self, options: Options) -> elasticbeanstalk.CfnApplication:
        application = elasticbeanstalk.CfnApplication(
            self,
            "Application",
            application_name=options.name,
            description="Relay: SQS to the orchestrator",
        )
        # Deleting it would also delete its versions, and so the possibility to roll back.
        application.apply_removal_policy(KEPT)
        return application

    def _version(self, options: Options, role: iam.Role) -> elasticbeanstalk.CfnApplicationVersion:
        bundle = s3_assets.Asset(self, "Bundle", path=str(self._bundle(options)))
        # This one object, not the whole bucket.
        role.add_to_policy(
            iam.PolicyStatement(
                sid="Bundle",
                actions=["s3:GetObject"],
                resources=[bundle.bucket.arn_for_objects(bundle.s3_object_key)],
            )
        )
        version = elasticbeanstalk.CfnApplicationVersion(
            self,
            "Version",
            application_name=options.name,
            source_bundle=elasticbeanstalk.CfnApplicationVersion.SourceBundleProperty(
                s3_bucket=bundle.s3_bucket_name, s3_key=bundle.s3_object_key
            ),
        )
        version.add_resource_dependency(self.application)
        # A new bundle replaces the version; the old one stays for a rollback.
        version.apply_removal_policy(KEPT)
        return version

    def _bundle(self, options: Options) -> Path:
        extras = needs_of(options.settings).extras
        if options.bundle is None:
            written = Path(cdk.Stage.of(self).asset_outdir) / f"bundle-{self.node.addr}.zip"
            write(written, extras=extras)
            return written
        if not options.bundle.is_file():
            raise BadOption(f"bundle: {options.bundle} does not exist")
        if missing := missing_extras(requirements_of(options.bundle), extras):
            raise BadOption(
                f"bundle: {options.bundle} lacks libraries that the settings need: build it with"
                f' `make bundle EXTRAS="{" ".join(missing)}"`'
            )
        return options.bundle


def _platform(platform: str) -> str:
    if platform.startswith("arn:"):
        return platform
    return f"arn:{cdk.Aws.PARTITION}:elasticbeanstalk:{cdk.Aws.REGION}::platform/{platform}"


def _listed(
    values: Mapping[str, Mapping[str, str]],
) -> list[elasticbeanstalk.CfnEnvironment.OptionSettingProperty]:
    return [
        elasticbeanstalk.CfnEnvironment.OptionSettingProperty(
            namespace=namespace, option_name=name, value=value
        )
        for namespace, group in sorted(values.items())
        for name, value in sorted(group.items())
    ]
