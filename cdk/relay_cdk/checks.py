"""What is wrong with the options, before anything is synthesized: one sentence with the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

from relay_cdk import producers
from relay_cdk.gateway_checks import gateway_problems
from relay_cdk.host_checks import host_problems
from relay_cdk.options import BadOption, Options
from relay_cdk.setting_checks import setting_problems, with_wired

NAME = r"[a-z][a-z0-9-]{2,38}[a-z0-9]"
"""An environment's name is the strictest: 4 to 40 characters, no hyphen at its ends."""

KEY = (
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}"
    r":key/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
PLATFORM = (
    r"(arn:aws[a-z-]*:elasticbeanstalk:[a-z0-9-]+::platform/)?"
    r"Python 3\.(11|13|14) running on 64bit Amazon Linux 2023(/\d+\.\d+\.\d+)?"
)
MAIL = r"[^@\s,]+@[^@\s,]+\.[^@\s,]+"
INSTANCE_TYPE = r"([a-z]+)(\d+)([a-z0-9-]*)\.[a-z0-9-]+"
_CHOICES = {
    name: get_args(hint) for name, hint in get_type_hints(Options).items() if get_args(hint)
}


def check(options: Options, *, existing_queues: bool = False, existing_vpc: bool = False) -> None:
    """Raises `BadOption` with the first thing that is wrong."""
    for sentence in _problems(options, existing_queues=existing_queues, existing_vpc=existing_vpc):
        raise BadOption(sentence)


def check_region(options: Options, region: str | None) -> None:
    """Raises `BadOption` for a key that the stack's region cannot use, if the region is known."""
    if region and options.key.startswith("arn:") and options.key.split(":")[3] != region:
        raise BadOption(f"key is in {options.key.split(':')[3]}, but the stack is in {region}")


def _problems(options: Options, *, existing_queues: bool, existing_vpc: bool) -> Iterator[str]:
    yield from _names(options)
    yield from _queues(options)
    yield from _platform(options)
    if options.worker == "elasticbeanstalk":
        yield from _instances(options)
    yield from _network(options, existing_vpc=existing_vpc)
    if options.mail and not re.fullmatch(MAIL, options.mail):
        yield "mail must be one address such as oncall@example.com"
    yield from setting_problems(options, existing_queues=existing_queues)
    has_vpc = existing_vpc or options.vpc is not None
    settings = with_wired(options).settings
    yield from host_problems(options, settings, has_vpc=has_vpc)
    yield from gateway_problems(options, settings, own_vpc=has_vpc)


def _names(options: Options) -> Iterator[str]:
    if not re.fullmatch(NAME, options.name):
        yield (
            "name must be 4 to 40 lowercase letters, digits and hyphens, starting with a letter and"
            " not ending with a hyphen"
        )
    for name in ("worker", "gateway", "architecture", "python"):
        if getattr(options, name) not in _CHOICES[name]:
            *others, last = _CHOICES[name]
            yield f"{name} must be {', '.join(others)} or {last}"


def _queues(options: Options) -> Iterator[str]:
    if options.fifo and options.worker == "elasticbeanstalk":
        yield (
            "fifo does not go with a worker environment, whose daemon keeps no order: add"
            " worker=fargate or worker=lambda, or worker=none and run `relay poll` elsewhere"
        )
    if options.key not in ("sqs", "create") and not re.fullmatch(KEY, options.key):
        yield (
            "key must be sqs, create or the ARN of a KMS key, which ends with key/ and its id; an"
            " alias does not do, because policies cannot name it"
        )
    for producer in options.producers:
        producers.parsed(producer)
    if len(set(options.producers)) < len(options.producers):
        yield "producers names one twice"


def _platform(options: Options) -> Iterator[str]:
    if options.platform and not re.fullmatch(PLATFORM, options.platform):
        yield (
            'platform must be a platform such as "Python 3.13 running on 64bit Amazon Linux 2023"'
            " or its ARN; usually `python` is enough"
        )


def _instances(options: Options) -> Iterator[str]:
    if options.max_instances < 2:  # noqa: PLR2004 - one in service and one that is replaced
        yield (
            "max_instances must be at least 2: a rolling update keeps one instance in service while"
            " it replaces another"
        )
    if not 1 <= options.min_instances <= options.max_instances:
        yield "min_instances must be at least 1 and at most max_instances"
    for instance_type in options.instance_type.split(","):
        found = re.fullmatch(INSTANCE_TYPE, instance_type.strip())
        if not found:
            yield f"instance_type: {instance_type} is not a type such as t3.small"
            return
        family, _, attributes = found.groups()
        # Graviton: a "g" after the generation, as in t4g and im4gn; the first one was a1.
        architecture = "arm64" if family == "a" or "g" in attributes else "x86_64"
        if architecture != options.processor:
            yield (
                f"instance_type {instance_type.strip()} is {architecture}, not"
                f" {options.processor}: set architecture={architecture} or another type"
            )


def _network(options: Options, *, existing_vpc: bool) -> Iterator[str]:
    if options.vpc and not options.subnets:
        yield "vpc needs subnets=subnet-1,subnet-2 to run in"
    if options.subnets and not options.vpc:
        yield "subnets needs vpc, the VPC that they are in"
    # Tasks get a VPC of their own.
    elsewhere = options.worker == "none" and options.gateway != "fargate"
    default = (options.worker == "elasticbeanstalk" or elsewhere) and not existing_vpc
    if not options.public_addresses and not options.vpc and default:
        yield "public_addresses=false needs vpc and subnets: the default VPC's subnets are public"
    if options.vpc and not re.fullmatch(r"vpc-\w+", options.vpc):
        yield "vpc must be an id such as vpc-0a1b2c3d"
    for subnet in options.subnets:
        if not re.fullmatch(r"subnet-\w+", subnet):
            yield f"subnets: {subnet} is not an id such as subnet-0a1b2c3d"
