"""The options of a deployment, from text (command line) or JSON (file)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay_cdk.context import from_context
from relay_cdk.options import BadOption, Options


def parsed(**context: Any) -> Options:
    return from_context(context)


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"nmae": "orders"}, "nmae is not an option: did you mean name?"),
        ({"maxinstances": "9"}, "did you mean max_instances?"),
        ({"quux": "1"}, "quux is not an option: the options are name, fifo"),
        ({"max-instances": "9"}, "did you mean max_instances?"),
        ({"Name": "orders"}, "did you mean name?"),
        ({"name2": "orders"}, "did you mean name?"),
        ({"settings": '{"RELAY_HOLDX": "3"}'}, "RELAY_HOLDX is not a setting of the relay"),
    ],
)
def test_a_mistyped_name_is_refused_with_a_suggestion(
    context: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BadOption) as caught:
        from_context(context)
    assert sentence in str(caught.value)


def test_the_cdks_own_context_and_other_variables_are_accepted() -> None:
    options = from_context(
        {
            "aws:cdk:enable-path-metadata": True,
            "@aws-cdk/core:checkSecretUsage": True,
            "acknowledged-issue-numbers": [1],
            "name": "orders",
            "settings": {"RELAY_HOLD": 60, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost"},
        }
    )
    assert options.name == "orders"
    assert options.settings["RELAY_HOLD"] == "60"


def test_an_empty_context_gives_the_defaults() -> None:
    assert parsed() == Options()


def test_text_and_json_give_the_same_options() -> None:
    text = parsed(
        fifo="true",
        worker="none",
        subnets="subnet-a, subnet-b",
        vpc="vpc-v",
        min_instances="3",
        settings='{"RELAY_HOLD": 60}',
        bundle="x.zip",
    )
    values = parsed(
        fifo=True,
        worker="none",
        subnets=["subnet-a", "subnet-b"],
        vpc="vpc-v",
        min_instances=3,
        settings={"RELAY_HOLD": 60},
        bundle="x.zip",
    )
    assert text == values
    assert text.settings == {"RELAY_HOLD": "60"}
    assert text.bundle == Path("x.zip")


def test_queues_are_named_after_the_deployment() -> None:
    assert parsed(name="orders").queue_name == "orders-events"
    assert (
        parsed(name="orders", fifo="true", worker="none").dead_letter_queue_name
        == "orders-events-dlq.fifo"
    )
