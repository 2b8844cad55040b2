"""Settings of destinations: each problem is reported once, with what the value must be."""

from __future__ import annotations

import pytest

from relay.settings.loading import load


def problems(**variables: str) -> list[str]:
    return list(load({f"RELAY_{name}": value for name, value in variables.items()}).problems)


def test_an_invalid_value_is_not_reported_as_missing_too() -> None:
    reported = problems(
        DESTINATION="argo", ARGO_URL="argo.example.com:2746", ARGO_TEMPLATE="t", ARGO_TOKEN="x"
    )
    assert len(reported) == 1
    assert reported[0].startswith("RELAY_ARGO_URL must be an address")


def test_nothing_is_required_of_an_unknown_destination() -> None:
    (reported,) = problems(DESTINATION="airplane")
    assert reported.startswith("RELAY_DESTINATION must be one of inngest, ")
    (routes,) = problems(ROUTES="*=airplane")
    assert routes.startswith("RELAY_ROUTES must be patterns")


def test_missing_settings_are_reported_together_with_invalid_ones() -> None:
    reported = problems(DESTINATION="temporal", TEMPORAL_ADDRESS="nowhere", TEMPORAL_WORKFLOW="w")
    assert [sentence.split()[0] for sentence in reported if "pip install" not in sentence] == [
        "RELAY_TEMPORAL_ADDRESS",
        "RELAY_TEMPORAL_TASK_QUEUE",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_DEPLOYMENT", "place-order"),
        ("PREFECT_DEPLOYMENT", "/main"),
        ("PREFECT_DEPLOYMENT", "place-order/"),
        ("BULLMQ_QUEUE", "a:b"),
        ("BULLMQ_URL", "redis.example.com"),
        ("BULLMQ_URL", "redis://"),
        ("BULLMQ_URL", "unix://"),
        ("STEP_FUNCTIONS_ARN", "orders"),
        ("TEMPORAL_ADDRESS", "https://temporal.example.com"),
        ("WEBHOOK_URL", "hooks.example.com"),
    ],
)
def test_a_value_that_no_destination_could_use_is_a_mistake(name: str, value: str) -> None:
    (reported,) = load({f"RELAY_{name}": value}).errors
    assert reported.startswith(f"RELAY_{name} must be ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_DEPLOYMENT", "place order/main"),
        ("PREFECT_DEPLOYMENT", "6b0d2ed4-0d2e-4c59-9d66-0d3c1b3c0a11"),
        ("BULLMQ_URL", "unix:///run/redis.sock"),
        ("BULLMQ_URL", "rediss://relay:secret@redis.example.com:6380/2"),
    ],
)
def test_a_value_that_a_destination_can_use_is_accepted(name: str, value: str) -> None:
    assert load({f"RELAY_{name}": value}).errors == ()
