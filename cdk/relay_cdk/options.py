"""The options of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from relay_cdk.hosts import HOSTS, Gateway, Host, Worker


class BadOption(ValueError):
    """An invalid context value. The text names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one deployment; each is a context value of the same name.

    Attributes:
        name: prefix of the queues, name of the application, the environment and the service. Queue
            names are fixed, because the policies of the two queues refer to each other.
        fifo: create FIFO queues, with high throughput, for `relay poll`: the worker daemon keeps no
            order.
        key: `sqs` for keys that SQS manages, `create` for a new customer key, or the ARN of an
            existing one in the same region, whose key policy is up to its owner.
        producers: who may send besides the account's own roles: other accounts by number, services
            (`events.amazonaws.com`) on behalf of this account, and by ARN roles and users, and the
            topics, rules, event buses and buckets of any account.
        worker: `elasticbeanstalk`, `fargate`, `lambda`, or `none` to run `relay poll` elsewhere.
        gateway: where `relay gateway` runs: `fargate`, behind a load balancer, `function-url`, as a
            function with an address of its own, or `none`.
        gateway_certificate: the ARN of its load balancer's certificate.
        gateway_internal: whether the load balancer has addresses of the VPC only.
        gateway_subnets: the subnets of the load balancer, in two zones or more, in a VPC of yours.
        gateway_min: tasks of the gateway.
        gateway_max: the most of them.
        vpc: the VPC of the instances, tasks or function. By default instances use the account's
            default VPC, tasks get a new one, and the function is in none.
        subnets: its subnets for them.
        public_addresses: whether instances or tasks get public addresses. Without `vpc`, tasks with
            `false` get a VPC that is not connected to the internet.
        python: the platform's branch. The environment starts with its newest version, and managed
            updates install newer ones. A version in the template would be older some day, and an
            account that never used it cannot create an environment with it.
        platform: a platform's ARN or the part after `platform/`, instead of `python`.
        instance_type: the type of the instances.
        architecture: `x86_64` or `arm64`, matching the instance type. `auto` is `arm64` for a
            function and `x86_64` for the others.
        min_instances: with two, the loss of one is survived. Instances or tasks.
        max_instances: the orchestrator gets at most 50 requests at once for each instance.
        image: the image of the tasks in ECR, by its URI or by its repository's ARN, with a tag or a
            digest; by default it is built from the Dockerfile of this checkout.
        task_cpu: CPU units of a task; 1,024 are one processor.
        task_memory: MiB of memory of a task.
        backlog_per_task: the messages, waiting and in flight, for each task that scaling aims at.
        function_memory: MiB of memory of the function. It gets a whole processor at 1,769.
        batch_size: the most messages in one invocation of the function.
        batch_window: seconds to wait for a full batch; more than ten messages need at least one.
        max_concurrency: the most invocations at once.
        min_pollers: event pollers that are always there, instead of `max_concurrency`.
        max_pollers: the most of them.
        reserved_concurrency: invocations that are reserved for the function, and the most that it
            can have; 0 reserves none.
        ledger: whether the worker uses the ledger, which costs two writes and two reads an event.
            The table is created in any case; unused it costs nothing.
        inngest_url: a self-hosted server; by default Inngest's Cloud.
        session_manager: whether Session Manager may open a shell on the instances.
        mail: an address for alarms, which has to confirm the subscription.
        settings: additional `RELAY_*` variables for the environment.
        protect: whether CloudFormation refuses to delete the stack. Switch it on after the first
            success: a failed first creation can be repeated only after the deletion of its stack.
        bundle: the zip to run, on Elastic Beanstalk or as a function; by default that of the relay
            that is installed.
    """

    name: str = "relay"
    fifo: bool = False
    key: str = "sqs"
    producers: tuple[str, ...] = ()
    worker: Worker = "elasticbeanstalk"
    gateway: Gateway = "none"
    gateway_certificate: str | None = None
    gateway_internal: bool = False
    gateway_subnets: tuple[str, ...] = ()
    gateway_min: int = 2
    gateway_max: int = 4
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    public_addresses: bool = True
    python: Literal["3.11", "3.13", "3.14"] = "3.13"
    platform: str | None = None
    instance_type: str = "t3.small"
    architecture: Literal["auto", "x86_64", "arm64"] = "auto"
    min_instances: int = 2
    max_instances: int = 4
    image: str | None = None
    task_cpu: int = 256
    task_memory: int = 512
    backlog_per_task: int = 3_000
    function_memory: int = 1_024
    batch_size: int = 10
    batch_window: int = 0
    max_concurrency: int = 10
    min_pollers: int = 0
    max_pollers: int = 0
    reserved_concurrency: int = 0
    ledger: bool = True
    inngest_url: str | None = None
    session_manager: bool = False
    mail: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    protect: bool = False
    bundle: Path | None = None

    @property
    def queue_name(self) -> str:
        """The main queue's name."""
        return f"{self.name}-events{self._suffix}"

    @property
    def dead_letter_queue_name(self) -> str:
        """The dead-letter queue's name."""
        return f"{self.name}-events-dlq{self._suffix}"

    @property
    def gateway_name(self) -> str:
        """The name of everything that the gateway has, and its service in metrics.

        Not the relay's own: the heartbeats of both would be one.
        """
        return f"{self.name}-gateway"

    @property
    def platform_name(self) -> str:
        """The platform without a version, or whatever `platform` says."""
        return self.platform or f"Python {self.python} running on 64bit Amazon Linux 2023"

    @property
    def host(self) -> Host:
        """What the worker's host decides for the rest of the stack."""
        return HOSTS[self.worker]

    @property
    def processor(self) -> str:
        """The architecture, whatever `auto` is: `x86_64` or `arm64`."""
        return self.host.architecture if self.architecture == "auto" else self.architecture

    @property
    def log_group(self) -> str:
        """The name of the group of the log, which contains the audit log."""
        return self.host.log_group.format(name=self.name)

    @property
    def _suffix(self) -> str:
        return ".fifo" if self.fifo else ""
