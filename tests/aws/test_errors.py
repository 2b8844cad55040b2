"""The kinds of errors, by the service models that botocore has from AWS."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session  # type: ignore[import-untyped] # it ships no types
import pytest

from relay.aws.errors import AwsError, kind_of

SERVICES = (
    "cloudwatch",
    "dynamodb",
    "kms",
    "logs",
    "s3",
    "secretsmanager",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)


def error_codes(service: str) -> Iterator[str]:
    """The codes of the errors in a service's model."""
    model = botocore.session.get_session().get_service_model(service)
    for name in model.shape_names:
        metadata = getattr(model.shape_for(name), "metadata", {})
        if metadata.get("exception"):
            yield metadata.get("error", {}).get("code", name)


@pytest.mark.parametrize("service", SERVICES)
def test_every_throttling_error_of_a_service_is_known_as_one(service: str) -> None:
    codes = {code for code in error_codes(service) if "hrottl" in code}
    assert {code: kind_of(code) for code in codes} == dict.fromkeys(codes, "throttled")


def test_the_token_that_an_answer_repeats_is_not_shown() -> None:
    # SQS answers a wrong signature with the headers that it was made of.
    text = "should have been 'POST\n/\n\nhost:h\nx-amz-security-token:IQoJb3JpZ2lu/a+b==\n\n"
    error = AwsError("SignatureDoesNotMatch", "credentials", text)
    assert "IQoJ" not in f"{error} {error.sentence}"
    assert "x-amz-security-token:***\n" in error.sentence
