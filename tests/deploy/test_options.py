"""The choices of a deployment, as text from the command line or as JSON from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdk.options import BadOption, Options, from_context


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ({"nmae": "orders"}, "nmae is no option: did you mean name?"),
        ({"maxinstances": "9"}, "did you mean max_instances?"),
        ({"quux": "1"}, "quux is no option: there are name, fifo"),
        ({"settings": '{"RELAY_HOLDX": "3"}'}, "RELAY_HOLDX is no setting of the relay"),
    ],
)
def test_a_mistyped_name_is_refused(context: dict[str, str], told: str) -> None:
    with pytest.raises(BadOption) as caught:
        from_context(context)
    assert told in str(caught.value)


def test_the_cdks_own_context_and_other_variables_are_let_through() -> None:
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


def chosen(**context: Any) -> Options:
    return from_context(context)


def test_nothing_chosen_is_the_default() -> None:
    assert chosen() == Options()


def test_text_and_json_say_the_same() -> None:
    text = chosen(
        fifo="true",
        subnets="a, b",
        vpc="v",
        min_instances="3",
        settings='{"RELAY_HOLD": 60}',
        bundle="x.zip",
    )
    values = chosen(
        fifo=True,
        subnets=["a", "b"],
        vpc="v",
        min_instances=3,
        settings={"RELAY_HOLD": 60},
        bundle="x.zip",
    )
    assert text == values
    assert text.settings == {"RELAY_HOLD": "60"}
    assert text.bundle == Path("x.zip")


def test_queues_are_named_after_the_deployment() -> None:
    assert chosen(name="orders").queue_name == "orders-events"
    assert chosen(name="orders", fifo="true").dead_letter_queue_name == "orders-events-dlq.fifo"


@pytest.mark.parametrize(
    ("context", "named"),
    [
        ({"name": "Orders"}, "name"),
        ({"name": "abc"}, "name"),
        ({"fifo": "yes"}, "fifo"),
        ({"worker": "lambda"}, "worker"),
        ({"key": "alias/mine"}, "key"),
        ({"vpc": "vpc-1"}, "subnets"),
        ({"architecture": "arm"}, "architecture"),
        ({"min_instances": "two"}, "min_instances"),
        ({"min_instances": "5"}, "min_instances"),
        ({"settings": "RELAY_HOLD=60"}, "settings"),
        ({"settings": "[]"}, "settings"),
    ],
)
def test_a_choice_that_cannot_be_is_named(context: dict[str, str], named: str) -> None:
    with pytest.raises(BadOption, match=named):
        chosen(**context)
