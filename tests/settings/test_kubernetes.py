"""Variables that Kubernetes sets for a Service named `relay` are neither settings nor mistakes."""

from __future__ import annotations

import pytest

from relay.settings.loading import load
from relay.settings.model import Settings
from relay.settings.reference import variable

LINKS = {
    "RELAY_SERVICE_HOST": "10.0.0.11",
    "RELAY_SERVICE_PORT": "8000",
    "RELAY_SERVICE_PORT_HTTP": "8000",
    "RELAY_PORT": "tcp://10.0.0.11:8000",
    "RELAY_PORT_8000_TCP": "tcp://10.0.0.11:8000",
    "RELAY_PORT_8000_TCP_PROTO": "tcp",
    "RELAY_PORT_8000_TCP_PORT": "8000",
    "RELAY_PORT_8000_TCP_ADDR": "10.0.0.11",
    "RELAY_QUEUE_SERVICE_HOST": "10.0.0.12",
    "RELAY_QUEUE_SERVICE_PORT": "80",
    "RELAY_QUEUE_PORT": "tcp://10.0.0.12:80",
}
"""As the kubelet sets them for the Services `relay` and `relay-queue`."""


def test_the_links_of_services_change_nothing() -> None:
    found, without = load(LINKS), load({})
    assert (found.settings, found.errors, found.warnings) == (without.settings, (), ())


def test_a_port_under_the_wrong_name_is_a_warning() -> None:
    found = load({"RELAY_PORT": "9000"})
    assert found.settings.port == 8_000
    assert len(found.warnings) == 1


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_no_setting_has_the_name_of_a_link(name: str) -> None:
    assert not variable(name).endswith(("_PORT", "_SERVICE_HOST", "_TCP", "_UDP"))
