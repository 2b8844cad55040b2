"""The checks of timeouts, with the actual values of sqsd, nginx and the queues."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.ops.doctor.clocks import check_clocks
from relay.ops.doctor.platform import check_platform, read_platform
from relay.ops.doctor.result import CheckResult
from relay.settings.clocks import Clocks

ROOT = Path(__file__).parents[3]
SHIPPED_CLOCKS = Clocks()
SQSD = """\
---
http_connections: 50
inactivity_timeout: {inactivity}
queue_url: https://sqs.eu-central-1.amazonaws.com/123456789012/events
retention: {retention}
error_visibility_timeout: {error}
visibility_timeout: {visibility}
"""
SHIPPED = {"inactivity": 900, "retention": 1_209_600, "error": 300, "visibility": 1_080}
QUEUES = {"max_receive_count": 1_000, "queue_retention": 1_123_200.0, "dlq_retention": 1_209_600.0}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """An instance of the worker tier with the shipped values."""
    (tmp_path / "opt/elasticbeanstalk").mkdir(parents=True)
    sqsd = tmp_path / "etc/aws-sqsd.d/default.yaml"
    sqsd.parent.mkdir(parents=True)
    sqsd.write_text(SQSD.format(**SHIPPED))
    nginx = tmp_path / "etc/nginx/conf.d/relay.conf"
    nginx.parent.mkdir(parents=True)
    nginx.write_text((ROOT / ".platform/nginx/conf.d/relay.conf").read_text())
    return tmp_path


def results(
    machine: Path, configured: Clocks = SHIPPED_CLOCKS, actual: Mapping[str, float] = QUEUES
) -> dict[str, CheckResult]:
    platform = read_platform(machine)
    clocks = check_clocks(configured, {**platform.clocks, **QUEUES, **actual}, pull=False)
    return {result.check: result for result in (*check_platform(platform), *clocks)}


def test_the_shipped_values_are_all_read_and_correct(machine: Path) -> None:
    found = results(machine)
    assert {result.status for result in found.values()} == {"ok"}
    assert len(found) == 4 + 7 + 5
    assert read_platform(machine).queue_url == (
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events"
    )


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        ("clocks.hold", {"inactivity": 299, "visibility": 900}),
        ("clocks.visibility", {"visibility": 300}),
        ("clocks.nginx", {"inactivity": 2_000, "visibility": 4_000}),
        ("clocks.outage", {"error": 2}),
        ("clocks.sqsd-retention", {"retention": 345_600}),
    ],
)
def test_a_wrong_value_of_sqsd_breaks_a_relation(
    machine: Path, check: str, changed: dict[str, int]
) -> None:
    text = SQSD.format(**{**SHIPPED, **changed})
    (machine / "etc/aws-sqsd.d/default.yaml").write_text(text)
    result = results(machine)[check]
    assert result.status == "fail"
    assert result.why


@pytest.mark.parametrize(
    ("check", "actual"),
    [
        ("clocks.outage", {"max_receive_count": 5}),
        ("clocks.dlq-retention", {"dlq_retention": 345_600.0}),
        ("clocks.sqsd-retention", {"queue_retention": 1_209_601.0}),
    ],
)
def test_a_wrong_value_of_a_queue_breaks_a_relation(
    machine: Path, check: str, actual: dict[str, float]
) -> None:
    assert results(machine, actual=actual)[check].status == "fail"


@pytest.mark.parametrize(
    ("check", "option", "value"),
    [
        ("settings.sqsd-inactivity-timeout", "inactivity", 950),
        ("settings.sqsd-visibility-timeout", "visibility", 2_000),
        ("settings.sqsd-error-visibility-timeout", "error", 600),
        ("settings.sqsd-retention", "retention", 1_209_500),
    ],
)
def test_a_valid_value_that_differs_from_the_settings_is_a_warning(
    machine: Path, check: str, option: str, value: int
) -> None:
    text = SQSD.format(**{**SHIPPED, option: value})
    (machine / "etc/aws-sqsd.d/default.yaml").write_text(text)
    result = results(machine)[check]
    assert result.status == "warn"
    assert "RELAY_SQSD_" in result.fix


def test_a_wrong_setting_breaks_a_relation(machine: Path) -> None:
    assert results(machine, Clocks(hold=3_000.0))["clocks.hold"].status == "fail"


@pytest.mark.parametrize(
    ("check", "status", "old", "new"),
    [
        ("clocks.nginx", "fail", "proxy_read_timeout 960s", "proxy_read_timeout 15m"),
        ("clocks.nginx", "fail", "proxy_read_timeout 960s;", ""),
        ("settings.nginx-read-timeout", "warn", "960s", "1h"),
        ("nginx.underscores-in-headers", "fail", "underscores_in_headers on", ""),
        ("nginx.ignore-invalid-headers", "fail", "ignore_invalid_headers off", ""),
        ("nginx.large-client-header-buffers", "warn", "4 1100k", "4 8k"),
        (
            "nginx.client-max-body-size",
            "fail",
            "client_max_body_size 2m",
            "client_max_body_size 1k",
        ),
    ],
)
def test_the_nginx_directives_are_checked(
    machine: Path, check: str, status: str, old: str, new: str
) -> None:
    file = machine / "etc/nginx/conf.d/relay.conf"
    file.write_text(file.read_text().replace(old, new))
    assert results(machine)[check].status == status


def test_without_the_files_the_fix_says_how_to_read_them(tmp_path: Path) -> None:
    platform = read_platform(tmp_path)
    found = {
        f.check: f for f in (*check_platform(platform), *check_clocks(Clocks(), {}, pull=False))
    }
    assert {result.status for result in found.values()} == {"not checked"}
    assert "default.yaml" in found["clocks.hold"].fix
    assert "nginx -T" in found["clocks.nginx"].fix
    assert "as root" in found["sqsd"].fix


def test_nginx_on_a_machine_outside_elastic_beanstalk_is_ignored(machine: Path) -> None:
    (machine / "opt/elasticbeanstalk").rmdir()
    assert read_platform(machine).nginx is None


@pytest.mark.parametrize(
    ("queue", "status"),
    [
        ("events", "ok"),
        ("arn:aws:sqs:eu-central-1:123456789012:events", "ok"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/others", "fail"),
    ],
)
def test_sqsd_and_the_settings_must_name_the_same_queue(
    machine: Path, queue: str, status: str
) -> None:
    found = {result.check: result for result in check_platform(read_platform(machine), queue)}
    assert found["sqsd.queue"].status == status


def test_pull_mode_skips_the_timeouts_of_sqsd() -> None:
    (result,) = check_clocks(Clocks(sqsd_retention=60.0), QUEUES, pull=True)
    assert (result.check, result.status) == ("clocks.dlq-retention", "ok")
