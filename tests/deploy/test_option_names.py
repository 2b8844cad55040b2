"""A name that nothing goes by is told at the deployment, not found out in production."""

from __future__ import annotations

import pytest

from cdk.options import BadOption, from_context


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
