"""Endpoints that are found without a client of botocore are those that such a client has."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from botocore.loaders import Loader  # type: ignore[import-untyped]  # ships no types
from botocore.session import Session  # type: ignore[import-untyped]  # the same

from relay.aws.endpoints import service_variable, usual_endpoint

SERVICES = ("sqs", "dynamodb", "cloudwatch")
KEYS = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
URL = "http://localhost:9324"
VARIABLES = (
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_SHARED_CREDENTIALS_FILE",
)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """AWS's configuration file; nothing else on this machine counts."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config"
    file.write_text("[default]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    return file


def regions() -> list[str]:
    """Every region that botocore knows, pseudo ones among them, and one that may be added."""
    data = Loader().load_data("endpoints")
    known = {region for one in data["partitions"] for region in one["regions"]}
    named = {
        region
        for one in data["partitions"]
        for service in one["services"].values()
        for region in service.get("endpoints", {})
    }
    return sorted(known | named | {"eu-central-9"})


@pytest.mark.usefixtures("config")
def test_in_every_region() -> None:
    session = Session()
    found = [
        (service, region, usual)
        for service in SERVICES
        for region in regions()
        if (usual := usual_endpoint(session, service, region, None))
    ]
    assert len(found) > 100
    for service, region, usual in found:
        meta = session.create_client(service, region_name=region, **KEYS).meta
        assert (meta.endpoint_url, meta.region_name) == (usual, region)


@pytest.mark.parametrize(
    ("variables", "given"),
    [
        ({"AWS_ENDPOINT_URL": URL}, None),
        ({"AWS_ENDPOINT_URL": f"{URL}/path/"}, None),
        ({"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_SQS": URL}, None),
        ({"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_SQS": ""}, None),
        ({"AWS_ENDPOINT_URL": URL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
        ({}, "https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com"),
        ({}, "https://127.0.0.1:9324"),
    ],
)
@pytest.mark.usefixtures("config")
def test_of_the_environment_and_of_a_queues_url(
    variables: dict[str, str], given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session = Session()
    usual = usual_endpoint(session, "sqs", "eu-west-1", given)
    meta = session.create_client("sqs", region_name="eu-west-1", endpoint_url=given, **KEYS).meta
    assert usual == meta.endpoint_url


@pytest.mark.parametrize(
    ("variables", "profile"),
    [
        ({"AWS_ENDPOINT_URL": "localhost:9324"}, ""),
        ({"AWS_ENDPOINT_URL": "http://local host"}, ""),
        ({"AWS_ENDPOINT_URL": "http://a..b"}, ""),
        ({"AWS_ENDPOINT_URL": f"http://{'a' * 64}"}, ""),
        ({"AWS_ENDPOINT_URL": f"http://{'a.' * 128}b"}, ""),
        ({"AWS_ENDPOINT_URL": "http://[::1]"}, ""),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, ""),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, ""),
        ({}, "use_fips_endpoint = true"),
        ({}, f"endpoint_url = {URL}"),
        ({}, "ignore_configured_endpoint_urls = true"),
        ({}, "services = mine"),
    ],
)
def test_all_that_is_unusual_is_left_to_botocore(
    variables: dict[str, str], profile: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config.write_text(f"[default]\n{profile}\n")
    assert usual_endpoint(Session(), "sqs", "eu-west-1", None) is None


@pytest.mark.parametrize(
    ("service", "region"), [("s3", "eu-west-1"), ("sqs", None), ("sqs", "x y")]
)
@pytest.mark.usefixtures("config")
def test_so_are_other_services_and_regions(service: str, region: str | None) -> None:
    assert usual_endpoint(Session(), service, region, None) is None


@pytest.mark.parametrize("service", [*SERVICES, "s3", "secretsmanager", "ssm", "stepfunctions"])
def test_a_services_variable_has_its_id(service: str) -> None:
    model = Session().get_service_model(service)
    assert service_variable(service).endswith(f"_{model.service_id.replace(' ', '_').upper()}")


READ = """
import asyncio, sys
from botocore.loaders import JSONFileLoader
from relay.aws.session import open_session

read = []
load = JSONFileLoader.load_file

def noted(self, path):
    found = load(self, path)
    if found is not None:
        read.append(path.rpartition("/")[2])
    return found

JSONFileLoader.load_file = noted

async def main():
    async with open_session() as session:
        await session.locate("sqs", "us-east-1", "https://sqs.us-east-1.amazonaws.com")
        await session.locate("cloudwatch")
        await session.locate("dynamodb")

asyncio.run(main())
print(sorted(set(read)))
"""


@pytest.mark.usefixtures("config")
async def test_a_relay_starts_without_the_models_of_services() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        READ,
        env={**os.environ, "AWS_REGION": "us-east-1"},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert printed == b"[]\n"
