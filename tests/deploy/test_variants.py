"""Every variant is created from its unmodified template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.deployments import deployments
from tests.deploy.simulated_aws import Aws, simulated_aws
from tests.deploy.template import Template


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    # One for all: no two variants have a name in common.
    with simulated_aws(tmp_path_factory.mktemp("aws") / "created") as started:
        yield started


@pytest.mark.parametrize("variant", [*deployments(Path()), "hosted"])
def test_it_is_created(variant: str, synthesized: Path, aws: Aws) -> None:
    template = Template.of(synthesized / f"{variant}.json")
    outputs = aws.create(template, variant)
    assert outputs.keys() == template.outputs.keys()
    assert all(outputs.values())
    resources = aws.client("cloudformation").describe_stack_resources(StackName=variant)
    # moto forgets the names and types of some.
    assert len(resources["StackResources"]) == len(template.resources)
