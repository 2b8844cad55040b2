"""What is wrong with the options of Fargate and Lambda, and with those of other hosts there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from relay.settings import clocks
from relay.settings.model import Settings
from relay_cdk.options import Options
from relay_cdk.task import IMAGE, LARGEST_STOP, stop_timeout

MEMORY_OF_CPU: Mapping[int, Sequence[int]] = {
    256: (512, 1_024, 2_048),
    512: range(1_024, 4_097, 1_024),
    1_024: range(2_048, 8_193, 1_024),
    2_048: range(4_096, 16_385, 1_024),
}
"""The MiB of memory that Fargate offers with each number of CPU units. More than two processors
would be idle: a relay is one process."""

FUNCTION_MEMORY = range(128, 10_241)
BATCH_SIZES = range(1, 10_001)
BATCH_WINDOWS = range(301)
CONCURRENCY = range(2, 1_001)
MIN_POLLERS = range(2, 201)
MAX_POLLERS = range(2, 2_001)
"""The limits of AWS Lambda."""

BATCH_WITHOUT_WINDOW = 10
"""Messages of one receive. More need several, for which Lambda wants a window to wait in."""

PUBLIC_HOSTS = (".inn.gs", ".inngest.com", ".tmprl.cloud", ".temporal.io", ".prefect.cloud")
"""Orchestrators as a service, all of them on the internet."""

HOST_OPTIONS = {
    "fargate": ("image", "task_cpu", "task_memory", "backlog_per_task"),
    "lambda": (
        "function_memory",
        "batch_size",
        "batch_window",
        "max_concurrency",
        "min_pollers",
        "max_pollers",
        "reserved_concurrency",
    ),
}

OF_GATEWAYS = {
    "fargate": ("image", "task_cpu", "task_memory"),
    "function-url": ("function_memory", "reserved_concurrency"),
}
"""The options of a host that a gateway there has too."""


def host_problems(options: Options, settings: Settings, *, has_vpc: bool) -> Iterator[str]:
    """A sentence for each thing that is wrong. `has_vpc` is whether the VPC exists already."""
    yield from _options_of_others(options)
    if options.worker != "elasticbeanstalk" and options.session_manager:
        yield "session_manager is for the instances of worker=elasticbeanstalk"
    if "fargate" in (options.worker, options.gateway):
        yield from _task(options)
    if options.worker == "fargate":
        yield from _fargate(options, settings)
        if not options.public_addresses and not has_vpc:
            yield from _without_internet(settings)
    if options.worker == "lambda":
        yield from _function(options, settings)
        yield from _event_source(options)


def _options_of_others(options: Options) -> Iterator[str]:
    defaults = Options()
    for worker, names in HOST_OPTIONS.items():
        also = OF_GATEWAYS.get(options.gateway, ())
        for name in names:
            if (
                worker != options.worker
                and name not in also
                and getattr(options, name) != getattr(defaults, name)
            ):
                yield f"{name} is for worker={worker}, not for worker={options.worker}"


def _task(options: Options) -> Iterator[str]:
    if options.image and not IMAGE.fullmatch(options.image):
        yield (
            "image must be in ECR and have a tag or a digest, such as"
            " 111122223333.dkr.ecr.eu-west-1.amazonaws.com/relay:1.0, or the same with the ARN of"
            " the repository"
        )
    memory = MEMORY_OF_CPU.get(options.task_cpu)
    if memory is None:
        yield f"task_cpu must be one of {', '.join(map(str, MEMORY_OF_CPU))}"
    elif options.task_memory not in memory:
        sizes = ", ".join(map(str, memory))
        yield f"task_memory must be one of {sizes} with task_cpu={options.task_cpu}"


def _fargate(options: Options, settings: Settings) -> Iterator[str]:
    if not 1 <= options.min_instances <= options.max_instances:
        yield "min_instances must be at least 1 and at most max_instances"
    if options.backlog_per_task < 1:
        yield "backlog_per_task must be at least 1"
    if stop_timeout(settings.drain_deadline + clocks.LAST_STEPS) > LARGEST_STOP:
        yield (
            f"settings: RELAY_DRAIN_DEADLINE must be at most"
            f" {LARGEST_STOP - 1 - clocks.LAST_STEPS:g}: Fargate kills a task {LARGEST_STOP} s"
            " after SIGTERM"
        )


def _without_internet(settings: Settings) -> Iterator[str]:
    for name, address in _addresses(settings).items():
        if address and is_public(address):
            yield (
                f"public_addresses=false gives the tasks a VPC without a way to the internet, and"
                f" {name} sends to {urlsplit(address).hostname or address}, which is there: leave"
                " it out (the tasks still accept no connections), or give vpc and subnets with a"
                " NAT gateway"
            )


def _addresses(settings: Settings) -> dict[str, str | None]:
    """The address of each destination that is in use and has one."""
    found = {
        "inngest": settings.inngest_url,
        "temporal": settings.temporal_address and f"//{settings.temporal_address}",
        "prefect": settings.prefect_api_url,
        "argo": settings.argo_url,
        "webhook": settings.webhook_url.get_secret_value() if settings.webhook_url else None,
    }
    return {name: found[name] for name in settings.destinations if name in found}


def is_public(address: str) -> bool:
    """Whether an address is certainly on the internet. A name of your own may be private."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return f".{host}".endswith(PUBLIC_HOSTS)


def _function(options: Options, settings: Settings) -> Iterator[str]:
    if options.function_memory not in FUNCTION_MEMORY:
        yield "function_memory must be from 128 to 10240"
    attempt = settings.request_timeout + settings.confirm_deadline + clocks.LAMBDA_MARGIN
    if attempt > clocks.LAMBDA_TIMEOUT:
        yield (
            f"settings: an attempt may take {attempt:g} s (RELAY_REQUEST_TIMEOUT +"
            f" RELAY_CONFIRM_DEADLINE + {clocks.LAMBDA_MARGIN:g}), and Lambda stops the function"
            f" after {clocks.LAMBDA_TIMEOUT:g}: lower them"
        )
    if settings.metrics == "prometheus":
        yield "settings: RELAY_METRICS=prometheus needs a port, which a function does not have"


def _event_source(options: Options) -> Iterator[str]:
    if options.batch_size not in BATCH_SIZES:
        yield "batch_size must be from 1 to 10000"
    if options.batch_window not in BATCH_WINDOWS:
        yield "batch_window must be from 0 to 300 seconds"
    if options.fifo and (options.batch_size > BATCH_WITHOUT_WINDOW or options.batch_window):
        yield "with fifo, batch_size must be at most 10 and batch_window 0"
    elif options.batch_size > BATCH_WITHOUT_WINDOW and not options.batch_window:
        yield "batch_size above 10 needs a batch_window of at least 1 second"
    if options.min_pollers or options.max_pollers:
        yield from _pollers(options)
    elif options.max_concurrency not in CONCURRENCY:
        yield "max_concurrency must be from 2 to 1000"
    elif 0 < options.reserved_concurrency < options.max_concurrency:
        # Messages are received for invocations that are then refused.
        yield "reserved_concurrency must be at least max_concurrency"


def _pollers(options: Options) -> Iterator[str]:
    if options.min_pollers not in MIN_POLLERS or options.max_pollers not in MAX_POLLERS:
        yield "min_pollers must be from 2 to 200 and max_pollers from 2 to 2000, both or neither"
    elif options.min_pollers > options.max_pollers:
        yield "min_pollers must be at most max_pollers"
