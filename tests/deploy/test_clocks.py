"""Settings, .ebextensions, nginx and stack use the same durations, which fit together."""

from __future__ import annotations

from relay.settings import clocks
from relay.settings.clocks import Clocks
from relay.settings.model import Settings
from relay.sources import sqsd
from relay_cdk.option_settings import DEPLOYMENT, HEALTH, LOGS, SQSD
from tests.deploy.bundle_files import EXTENSIONS, extensions, loaded, nginx
from tests.deploy.template import Template

DAEMON = "aws:elasticbeanstalk:sqsd"


def deployed_clocks(template: Template) -> Clocks:
    """The durations as they are set in the files of a deployment."""
    daemon = {
        name: float(v) for (space, name), v in extensions().items() if is_sqsd_number(space, v)
    }
    settings = Settings()
    main, dead = template.queue("-events"), template.queue("-dlq")
    return Clocks(
        hold=settings.hold,
        request_timeout=settings.request_timeout,
        confirm_deadline=settings.confirm_deadline,
        sqsd_inactivity_timeout=daemon["InactivityTimeout"],
        sqsd_visibility_timeout=daemon["VisibilityTimeout"],
        sqsd_error_visibility_timeout=daemon["ErrorVisibilityTimeout"],
        sqsd_retention=daemon["RetentionPeriod"],
        nginx_read_timeout=nginx("proxy_read_timeout")[0],
        max_receive_count=main["RedrivePolicy"]["maxReceiveCount"],
        queue_retention=main["MessageRetentionPeriod"],
        dlq_retention=dead["MessageRetentionPeriod"],
    )


def is_sqsd_number(space: str, value: str) -> bool:
    return space == DAEMON and value.isdigit()


def test_the_durations_in_all_files_are_those_of_the_table(default: Template) -> None:
    assert deployed_clocks(default) == Clocks()


def test_the_durations_fit_together(default: Template) -> None:
    c = deployed_clocks(default)
    assert c.problems() == []
    assert c.hold + c.request_timeout + c.confirm_deadline <= c.sqsd_inactivity_timeout - 30
    assert c.sqsd_visibility_timeout >= c.sqsd_inactivity_timeout + 120
    assert c.nginx_read_timeout > max(c.sqsd_inactivity_timeout, c.longest_answer)
    assert c.sqsd_retention >= c.queue_retention
    assert c.queue_retention < c.dlq_retention
    assert c.sqsd_error_visibility_timeout * c.max_receive_count >= 72 * 3_600


def test_the_stack_and_the_extensions_set_the_same(default: Template) -> None:
    directly, shared = default.options(), extensions()
    both = directly.keys() & shared.keys()
    assert {key: directly[key] for key in both} == {key: shared[key] for key in both}
    assert {(DAEMON, name) for name in SQSD} <= both
    for group in (DEPLOYMENT, HEALTH, LOGS):
        assert {(space, name) for space, named in group.items() for name in named} <= both


def test_sqsd_has_the_connections_of_the_table(default: Template) -> None:
    assert int(extensions()[DAEMON, "HttpConnections"]) == clocks.HTTP_CONNECTIONS


def test_a_full_message_passes_nginx_and_the_relay(default: Template) -> None:
    largest = default.queue("-events")["MaximumMessageSize"]
    assert nginx("client_max_body_size")[0] >= largest
    assert nginx("client_body_buffer_size")[0] >= largest
    # One attribute can take up the whole message, and is one header line with its name.
    assert nginx("large_client_header_buffers")[1] >= largest + 1_024
    assert largest <= sqsd.BODY_LIMIT


def test_the_extensions_name_no_queue() -> None:
    assert (DAEMON, "WorkerQueueURL") not in extensions()
    for path in EXTENSIONS:
        assert "sqs." not in path.read_text()
        assert "AWSEBWorkerQueue" not in path.read_text()


def test_no_option_is_set_in_two_files() -> None:
    names = [
        (space, name)
        for path in EXTENSIONS
        for space, group in (loaded(path).get("option_settings") or {}).items()
        for name in group
    ]
    assert len(names) == len(set(names))
    assert all(isinstance(value, str) for value in extensions().values())
