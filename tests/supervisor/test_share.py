"""What one of several processes gets of the limits that hold for all of them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from relay.app.forwarding import rate_for
from relay.app.processes import share
from relay.settings.model import Settings


def parts(count: int, **values: object) -> list[Settings]:
    whole = Settings(processes=count, **values)  # type: ignore[arg-type]
    return [share(whole, number) for number in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("field", ["max_in_flight", "max_in_flight_bytes", "handler_concurrency"])
def test_the_parts_of_a_limit_add_up_to_the_whole(field: str, count: int) -> None:
    whole = {"max_in_flight": 500, "max_in_flight_bytes": 10_000_001, "handler_concurrency": 199}
    shares = [getattr(part, field) for part in parts(count, **whole)]
    assert sum(shares) == whole[field]
    assert max(shares) - min(shares) <= 1


def test_a_limit_that_is_not_set_stays_so() -> None:
    assert [part.handler_concurrency for part in parts(2)] == [None, None]


def test_no_part_is_nothing_at_all() -> None:
    assert [part.route_max_held for part in parts(3, route_max_held=2)] == [1, 1, 1]


@pytest.mark.parametrize("count", [2, 3])
def test_the_rates_of_all_processes_are_the_rate_of_the_relay(count: int) -> None:
    routes = "a/*=webhook,b/*=step-functions,*=inngest"
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
    shares = parts(
        count,
        routes=routes,
        rate_limit=("webhook=20", "step-functions=0.3"),
        webhook_url=SecretStr("https://example.com/hook"),
        step_functions_arn=arn,
    )
    for name, rate in (("webhook", 20.0), ("step-functions", 0.3)):
        assert sum(rate_for(name, part) or 0.0 for part in shares) == pytest.approx(rate)
    assert [rate_for("inngest", part) for part in shares] == [None] * count


def test_the_rate_of_a_preset_is_divided_too() -> None:
    whole = Settings(
        processes=2,
        destination="webhook",
        webhook_preset="make",
        webhook_url=SecretStr("https://hook.eu1.make.com/x"),
    )
    rate = rate_for("webhook", whole)
    assert rate is not None
    assert rate_for("webhook", share(whole, 1)) == rate / 2


def test_more_processes_than_messages_in_flight_are_refused() -> None:
    with pytest.raises(ValidationError, match="RELAY_PROCESSES is 5, and RELAY_MAX_IN_FLIGHT"):
        Settings(processes=5, max_in_flight=4)


def test_only_linux_runs_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ValidationError, match="only Linux can run several"):
        Settings(processes=2)
    assert Settings(processes=1).processes == 1
