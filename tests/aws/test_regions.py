"""A queue's reference says where the queue is: its region, its partition and its endpoint."""

from __future__ import annotations

import pytest

from relay.aws.errors import AwsError
from relay.aws.move_tasks import open_move_tasks
from relay.aws.references import arn_of, parse_reference
from relay.aws.regions import partition_of, region_in
from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.local.sqs.server import SqsServer
from tests.aws.account import account

PATH = "/111122223333/orders"


@pytest.mark.parametrize(
    ("host", "region", "partition"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1", "aws"),
        ("eu-west-1.queue.amazonaws.com", "eu-west-1", "aws"),
        ("queue.amazonaws.com", "us-east-1", "aws"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "aws-us-gov"),
        ("sqs.us-east-1.api.aws", "us-east-1", "aws"),
        ("sqs-fips.us-east-1.api.aws", "us-east-1", "aws"),
        ("vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1", "aws"),
        ("vpce-0a1b-2c3d-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1", "aws"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn"),
        ("sqs.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1", "aws-cn"),
        ("vpce-0a1b-2c3d.sqs.cn-north-1.vpce.amazonaws.com.cn", "cn-north-1", "aws-cn"),
        ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "aws-eusc"),
        ("sqs.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "aws-iso"),
        ("sqs.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "aws-iso-b"),
    ],
)
def test_a_queues_url_decides_region_and_partition(host: str, region: str, partition: str) -> None:
    url = f"https://{host}{PATH}"
    found = parse_reference(url)
    assert found.region == region
    assert arn_of(url, region) == f"arn:{partition}:sqs:{region}:111122223333:orders"
    arn = parse_reference(arn_of(url, region))
    assert (arn.region, arn.account, arn.name) == (region, "111122223333", "orders")


@pytest.mark.parametrize(
    "host",
    ["localhost", "sqs.eu-west-1.example.com", "eu-west-1.notamazonaws.com", "sqs.amazonaws.com"],
)
def test_other_hosts_name_no_region(host: str) -> None:
    assert region_in(host) is None


def test_an_unknown_region_is_in_the_first_partition() -> None:
    assert partition_of("xx-new-1") == "aws"


@pytest.mark.parametrize(
    "url", ["https://s\x00[6.com/a", "http://h:x/a", "http:///a", "https://h/"]
)
def test_a_url_that_is_none_is_an_error_with_a_sentence(url: str) -> None:
    with pytest.raises(AwsError, match="neither a queue's URL"):
        parse_reference(url)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "KEY1",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)


async def test_a_queue_is_called_where_its_url_says() -> None:
    """As with an endpoint in a VPC that has no private name."""
    async with (
        SqsServer() as server,
        open_session() as session,
        open_queue(session, f"{server.url}{PATH}") as queue,
    ):
        with pytest.raises(AwsError) as caught:
            await queue.attributes()
        async with open_move_tasks(session, queue) as tasks:
            with pytest.raises(AwsError) as task:
                await tasks.latest()
    assert (caught.value.kind, task.value.kind) == ("missing", "missing"), "the server answered"


async def test_an_endpoint_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    async with account() as aws, open_session() as session:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.url)
        async with open_queue(session, f"https://sqs.cn-north-1.amazonaws.com.cn{PATH}") as queue:
            assert await queue.receive(wait=0) == []
    assert aws.requests == [("sqs", "cn-north-1", "/")]
