"""A Fargate task with one container: its image, user, file system, log and health check."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct

from relay_cdk.bundle import ROOT
from relay_cdk.options import BadOption, Options
from relay_cdk.workload import Workload

_NAME = r"(?P<name>[a-z0-9]+(?:[._/-][a-z0-9]+)*)"
_VERSION = r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))"
IMAGE = re.compile(
    r"(?:(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"|arn:aws[a-z-]*:ecr:(?P<arn_region>[a-z0-9-]+):(?P<arn_account>\d{12}):repository/)"
    rf"{_NAME}{_VERSION}"
)
"""An image in ECR, by its URI or by the ARN of its repository, with a tag or a digest."""

USER = "10001"
"""The user of the image, who is not root."""

HEALTH = ("CMD", "relay", "health")
"""What ECS runs in the container: the health check of the Dockerfile, which ECS ignores."""

HEALTH_PORT = "8000"
"""Where `relay poll` answers it. Only the container itself can reach the port."""

LOG_BUFFER = 25
"""MiB of log lines that wait while CloudWatch takes none. The default, 1, is soon full."""

LARGEST_STOP = 120
"""Seconds that Fargate waits at most after SIGTERM."""

PLATFORMS = {
    "arm64": (ecr_assets.Platform.LINUX_ARM64, ecs.CpuArchitecture.ARM64),
    "x86_64": (ecr_assets.Platform.LINUX_AMD64, ecs.CpuArchitecture.X86_64),
}


def stop_timeout(stop: float) -> int:
    """Seconds that a task gets after SIGTERM: the longest stop of the process and a second."""
    return math.ceil(stop + 1)


def container_image(scope: Construct, options: Options, root: Path = ROOT) -> ecs.ContainerImage:
    """The image that the options name, or else one that is built from the Dockerfile in `root`."""
    if options.image:
        return _existing_image(scope, options.image)
    if not (root / "Dockerfile").is_file():
        raise BadOption(
            "image is needed: there is no Dockerfile beside this installation. Build the image from"
            " the repository, push it to ECR and name it"
        )
    platform, _ = PLATFORMS[options.processor]
    return ecs.ContainerImage.from_asset(str(root), platform=platform)


def _existing_image(scope: Construct, image: str) -> ecs.ContainerImage:
    found = IMAGE.fullmatch(image)
    if not found:
        raise BadOption(f"image: {image} is not an image in ECR")
    arn = cdk.Stack.of(scope).format_arn(
        service="ecr",
        region=found["region"] or found["arn_region"],
        account=found["account"] or found["arn_account"],
        resource="repository",
        resource_name=found["name"],
    )
    repository = ecr.Repository.from_repository_attributes(
        scope, "Image", repository_arn=arn, repository_name=found["name"]
    )
    return ecs.ContainerImage.from_ecr_repository(repository, found["tag"] or found["digest"])


class Task(Construct):
    """A task definition, its two roles and its only container.

    With `serves` its port can be reached from outside the task.

    Attributes:
        role: the role of the processes in the container.
        execution_role: that with which ECS fetches the image and writes the log.
    """

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        command: Sequence[str],
        workload: Workload,
        family: str | None = None,
        serves: bool = False,
    ) -> None:
        super().__init__(scope, ident)
        self.role = self._role("Role", "The relay's tasks", workload.policy)
        self.execution_role = self._role("ExecutionRole", "Fetches the image and writes the log")
        _, architecture = PLATFORMS[options.processor]
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            family=family or options.name,
            cpu=options.task_cpu,
            memory_limit_mib=options.task_memory,
            task_role=self.role,
            execution_role=self.execution_role,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=architecture,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        # The root file system is read-only.
        self.definition.add_volume(name="tmp")
        container = self.definition.add_container(
            "Relay",
            container_name="relay",
            image=container_image(self, options),
            command=list(command),
            environment={**workload.variables, "PORT": HEALTH_PORT},
            user=USER,
            readonly_root_filesystem=True,
            linux_parameters=self._linux(),
            stop_timeout=cdk.Duration.seconds(stop_timeout(workload.stop)),
            health_check=health_check(),
            port_mappings=[ecs.PortMapping(container_port=int(HEALTH_PORT))] if serves else None,
            logging=ecs.LogDriver.aws_logs(
                stream_prefix="relay",
                log_group=workload.log_group,
                # A log that CloudWatch does not take must not stop the relay.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=cdk.Size.mebibytes(LOG_BUFFER),
            ),
        )
        container.add_mount_points(
            ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False)  # noqa: S108
        )

    @property
    def permissions(self) -> IConstruct:
        """What must exist before a task can start: the execution role's policy."""
        policy: IConstruct = self.execution_role.node.find_child("DefaultPolicy")
        return policy

    def _role(self, ident: str, text: str, *policies: iam.IManagedPolicy) -> iam.Role:
        return iam.Role(
            self,
            ident,
            assumed_by=iam.ServicePrincipal(
                "ecs-tasks.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            ),
            description=text,
            managed_policies=list(policies),
        )

    def _linux(self) -> ecs.LinuxParameters:
        # An init process passes signals on and reaps what the health check leaves behind.
        parameters = ecs.LinuxParameters(self, "Linux", init_process_enabled=True)
        parameters.drop_capabilities(ecs.Capability.ALL)
        return parameters


def health_check() -> ecs.HealthCheck:
    """The health check of the Dockerfile, with more time for the start."""
    return ecs.HealthCheck(
        command=list(HEALTH),
        interval=cdk.Duration.seconds(30),
        timeout=cdk.Duration.seconds(5),
        retries=3,
        start_period=cdk.Duration.seconds(60),
    )
