"""The daemon's options, schedules and cron.yaml, as users write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from relay.local.sqsd import Schedule, SqsdOptions, cron_tasks


def test_the_defaults_are_the_documented_ones() -> None:
    options = SqsdOptions()
    assert (options.http_path, options.mime_type) == ("/", "application/json")
    assert (options.http_connections, options.connect_timeout) == (50, 5)
    assert (options.inactivity_timeout, options.visibility_timeout) == (299, 300)
    assert (options.error_visibility_timeout, options.retention_period) == (2, 345_600)
    assert options.max_retries == 10


@pytest.mark.parametrize(("connections", "pollers"), [(1, 1), (2, 1), (10, 4), (50, 20), (100, 40)])
def test_pollers_follow_connections_and_the_backlog_follows_pollers(
    connections: int, pollers: int
) -> None:
    options = SqsdOptions(http_connections=connections)
    assert (options.pollers, options.waiting) == (pollers, pollers * 10)


def test_options_are_read_by_their_public_names() -> None:
    options = SqsdOptions.parse(
        ["HttpConnections=7", "HttpPath=/work", "OnInactivity=leave-locked", "Backlog=0"]
    )
    assert options == SqsdOptions(
        http_connections=7, http_path="/work", on_inactivity="leave-locked", backlog=0
    )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("HttpConnection=7", "There is no option 'HttpConnection'"),
        ("HttpConnections=many", "HttpConnections must be a whole number"),
        ("HttpConnections=101", "HttpConnections must be between 1 and 100, not 101."),
        ("VisibilityTimeout=43201", "VisibilityTimeout must be between 0 and 43200"),
        ("HttpPath=work", "HttpPath must start with a slash"),
        ("OnInactivity=shrug", "OnInactivity must be one of"),
    ],
)
def test_an_invalid_option_is_named_with_its_allowed_values(setting: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SqsdOptions.parse([setting])


def test_all_values_out_of_range_are_reported_together() -> None:
    with pytest.raises(ValueError, match=r"ConnectTimeout.*MaxRetries"):
        SqsdOptions(connect_timeout=0, max_retries=0)


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01"),
        ("* * * * *", "2026-01-01T00:01:00", "2026-01-01T00:02"),
        ("*/15 8-18 * * mon-fri", "2026-01-02T18:50", "2026-01-05T08:00"),
        ("5,35 0 * * *", "2026-01-01T00:05", "2026-01-01T00:35"),
        ("0 12 29 2 *", "2026-03-01T00:00", "2028-02-29T12:00"),
        ("0 0 13 * fri", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("0 0 13 * fri", "2026-01-09T00:00", "2026-01-13T00:00"),
        ("0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("30/10 0 1 JAN,jul *", "2026-01-01T00:41", "2026-01-01T00:50"),
        ("59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"),
    ],
)
def test_a_schedule_is_due_when_cron_would_be(text: str, after: str, due: str) -> None:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp()
    found = datetime.fromtimestamp(Schedule.parse(text).after(start), UTC)
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["* * * *", "60 * * * *", "x * * * *", "*/0 * * * *", "9-3 * * * *"]
)
def test_an_invalid_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="field"):
        Schedule.parse(text)


def test_a_schedule_that_is_never_due_has_no_next_time() -> None:
    with pytest.raises(ValueError, match="never due"):
        Schedule.parse("0 0 31 2 *").after(0.0)


def test_cron_tasks_are_read_from_a_cron_yaml() -> None:
    document = {
        "version": 1,
        "cron": [{"name": "backup", "url": "/backup", "schedule": "0 */12 * * *"}],
    }
    (task,) = cron_tasks(document)
    assert (task.name, task.url) == ("backup", "/backup")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"cron": []}, "version: 1"),
        ({"version": 1, "cron": [{"name": "a", "url": "/a"}]}, "has no schedule"),
        ({"version": 1, "cron": [{"name": "a", "url": "a", "schedule": "* * * * *"}]}, "slash"),
        ({"version": 1, "cron": [{"name": "a", "url": "/", "schedule": "* * * * *"}] * 2}, "same"),
    ],
)
def test_an_invalid_cron_yaml_is_refused(document: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        cron_tasks(document)
