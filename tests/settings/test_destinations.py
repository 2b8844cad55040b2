"""Settings of destinations: what is wrong is said once, and what it may be."""

from __future__ import annotations

import pytest

from relay.settings.loading import load


def wrong(**variables: str) -> list[str]:
    return list(load({f"RELAY_{name}": value for name, value in variables.items()}).problems)


def test_a_value_with_a_mistake_is_not_said_to_be_missing_too() -> None:
    told = wrong(
        DESTINATION="argo", ARGO_URL="argo.example.com:2746", ARGO_TEMPLATE="t", ARGO_TOKEN="x"
    )
    assert len(told) == 1
    assert told[0].startswith("RELAY_ARGO_URL must be an address")


def test_of_a_destination_that_nobody_knows_nothing_is_asked() -> None:
    (told,) = wrong(DESTINATION="airplane")
    assert told.startswith("RELAY_DESTINATION must be one of inngest, ")
    (routes,) = wrong(ROUTES="*=airplane")
    assert routes.startswith("RELAY_ROUTES must be patterns")


def test_what_is_missing_is_said_beside_what_is_wrong() -> None:
    told = wrong(DESTINATION="temporal", TEMPORAL_ADDRESS="nowhere", TEMPORAL_WORKFLOW="w")
    assert [sentence.split()[0] for sentence in told if "pip install" not in sentence] == [
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
def test_what_no_destination_could_use_is_a_mistake(name: str, value: str) -> None:
    (told,) = load({f"RELAY_{name}": value}).mistakes
    assert told.startswith(f"RELAY_{name} must be ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_DEPLOYMENT", "place order/main"),
        ("PREFECT_DEPLOYMENT", "6b0d2ed4-0d2e-4c59-9d66-0d3c1b3c0a11"),
        ("BULLMQ_URL", "unix:///run/redis.sock"),
        ("BULLMQ_URL", "rediss://relay:secret@redis.example.com:6380/2"),
    ],
)
def test_what_they_can_use_is_none(name: str, value: str) -> None:
    assert load({f"RELAY_{name}": value}).mistakes == ()
