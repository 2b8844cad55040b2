"""Predictions, from the ledger or from the age, for each destination."""

from __future__ import annotations

import math
from typing import Any

import pytest

from relay.app.destinations.traits import traits_lookup
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.edit import modify
from relay.dlq.prediction import LedgerState, Prediction, predict
from relay.envelope import Rules
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.settings.model import Settings
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event

HOUR = 3_600.0
DAY = 24 * HOUR
OLD = 23 * HOUR + 1.0
ARN = "arn:aws:sqs:us-east-1:0:main"


def dead_letter(
    body: str = '{"name":"shop/order"}', origin: Origin | None = None, **more: Any
) -> DeadLetter:
    if origin is not None:
        more["attributes"] = {ATTRIBUTE: Attribute("String", origin.pack())}
    message = Message(body=body.encode(), message_id="m-1", queue="dead", **more)
    return read_dead_letter(message, Rules(), "main")


def of(found: DeadLetter, known: LedgerState | None, age: float, **settings: Any) -> Prediction:
    """The prediction `age` seconds after time 0, with a ledger if a state is given."""
    states = None if known is None else [known]
    return predict(found, states, age, traits_lookup(Settings(**settings)))


DOUBTFUL = dead_letter(origin=Origin(id="a", may_have_run=True, sent_at=0.0))
SENDING = LedgerState(sending_at=0.0)


@pytest.mark.parametrize(
    ("found", "known", "age", "expected"),
    [
        (dead_letter(origin=Origin(id="a")), None, OLD, "runs"),
        (DOUBTFUL, None, 60.0, "runs"),
        (DOUBTFUL, None, OLD, "ambiguous"),
        (dead_letter(dead_letter_source=ARN, sent_at=0.0), None, OLD, "ambiguous"),
        (dead_letter("{"), None, 0.0, "rejected"),
        (DOUBTFUL, LedgerState(), OLD, "runs"),
        (DOUBTFUL, SENDING, 60.0, "runs"),
        (DOUBTFUL, SENDING, OLD, "ambiguous"),
        (DOUBTFUL, LedgerState(sending_at=0.0, delivered_at=1.0), OLD, "already_accepted"),
    ],
)
def test_a_prediction_follows_from_the_ledger_or_else_from_age(
    found: DeadLetter, known: LedgerState | None, age: float, expected: Prediction
) -> None:
    assert of(found, known, age) == expected


@pytest.mark.parametrize(
    ("settings", "age", "expected"),
    [
        ({"destination": "step-functions"}, 89 * DAY, "runs"),
        ({"destination": "step-functions"}, 90 * DAY, "ambiguous"),
        (
            {"destination": "step-functions", "step_functions_allow_express": True},
            60.0,
            "may_repeat",
        ),
        ({"destination": "temporal", "temporal_retention": 3 * DAY}, 70 * HOUR, "runs"),
        ({"destination": "temporal", "temporal_retention": 3 * DAY}, 72 * HOUR, "ambiguous"),
        (
            {
                "destination": "temporal",
                "temporal_signal": "event",
                "temporal_workflow_id_path": "data.orderId",
            },
            60.0,
            "may_repeat",
        ),
        ({"destination": "prefect"}, 400 * DAY, "runs"),
        ({"destination": "argo"}, 400 * DAY, "runs"),
        ({"destination": "webhook", "webhook_dedup_window": 7 * DAY}, 6 * DAY, "runs"),
        ({"destination": "webhook", "webhook_dedup_window": 7 * DAY}, 7 * DAY, "ambiguous"),
        ({"destination": "webhook", "webhook_dedup_window": 0}, 60.0, "may_repeat"),
        ({"destination": "webhook", "webhook_preset": "zapier"}, 60.0, "may_repeat"),
        ({"destination": "bullmq", "bullmq_job_retention": DAY}, 22 * HOUR, "runs"),
        ({"destination": "bullmq", "bullmq_job_retention": DAY}, 24 * HOUR, "ambiguous"),
        ({"destination": "bullmq", "bullmq_job_retention": 0}, 60.0, "may_repeat"),
    ],
)
def test_an_unknown_outcome_is_predicted_from_the_destinations_traits(
    settings: dict[str, Any], age: float, expected: Prediction
) -> None:
    assert of(DOUBTFUL, None, age, **settings) == expected
    assert of(DOUBTFUL, SENDING, age, **settings) == expected
    assert of(dead_letter(origin=Origin(id="a")), None, age, **settings) == "runs"


@pytest.mark.parametrize(
    ("known", "age", "expected"),
    [
        (None, 60.0, "may_repeat"),
        (None, OLD, "ambiguous"),
        (SENDING, 60.0, "may_repeat"),
        (LedgerState(), 60.0, "runs"),
        (LedgerState(sending_at=0.0, delivered_at=1.0), 60.0, "already_accepted"),
    ],
)
def test_a_server_of_ones_own_may_have_restarted_and_forgotten_the_id(
    known: LedgerState | None, age: float, expected: Prediction
) -> None:
    assert of(DOUBTFUL, known, age, inngest_url="http://inngest:8288") == expected


def test_a_destination_that_never_forgets_needs_no_age() -> None:
    unaged = dead_letter(origin=Origin(id="a", may_have_run=True))
    assert of(unaged, None, math.inf, destination="argo") == "runs"
    assert of(unaged, None, math.inf) == "ambiguous"


def test_each_event_is_predicted_for_its_own_route() -> None:
    routes = ("order/*=step-functions", "user/*=inngest", "hook/*=webhook")
    both = '[{"name":"order/x"},{"name":"user/x"}]'
    origin = Origin(id="a", may_have_run=True, sent_at=0.0)
    traits_of = traits_lookup(Settings(routes=routes, webhook_preset="make"))
    found = [
        predict(dead_letter(body, origin=origin), None, 2 * DAY, traits_of)
        for body in ('{"name":"order/x"}', both, '{"name":"hook/x"}', '{"name":"nowhere"}')
    ]
    assert found == ["runs", "ambiguous", "may_repeat", "rejected"]


def test_a_rerun_runs_whatever_ran_before() -> None:
    again = modify(DOUBTFUL, rules=Rules(), edit=None, rerun=True)
    assert isinstance(again, DeadLetter)
    assert of(again, LedgerState(delivered_at=1.0), OLD) == "runs"


@pytest.mark.parametrize(
    ("settings", "expected", "meaning"),
    [
        ({"RELAY_DESTINATION": "argo"}, "runs", "still knows its id and does not run it twice"),
        ({"RELAY_DESTINATION": "inngest"}, "ambiguous", "may run twice"),
        (
            {"RELAY_DESTINATION": "webhook", "RELAY_WEBHOOK_PRESET": "make"},
            "may_repeat",
            "its destination does not deduplicate",
        ),
        ({"RELAY_ROUTES": "order/*=inngest"}, "rejected", "rejected again"),
    ],
)
async def test_a_plan_is_made_for_the_destination_that_the_settings_name(
    relay: Relay, queues: LocalQueues, settings: dict[str, str], expected: str, meaning: str
) -> None:
    await queues.send("main", event(1))
    await queues.move_by_sqs()
    output = (await relay("dlq", "redrive", "--include-failing", *QUICK, **settings)).out
    assert expected in output
    assert meaning in output
