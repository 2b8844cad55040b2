"""The limit of open files: how many connections fit, and which errors it causes."""

from __future__ import annotations

import errno
import socket

import pytest

from relay.aws.errors import translate
from relay.destinations.http_errors import request_error
from relay.http import NotConnected
from relay.http.open_files import MOST, out_of_files, server_connections


@pytest.mark.parametrize(
    ("limit", "connections"), [(None, MOST), (100, 16), (256, 96), (1_024, 864), (65_536, MOST)]
)
def test_the_connections_of_the_server_leave_files_for_the_others(
    limit: int | None, connections: int
) -> None:
    assert server_connections(limit) == connections


def no_files() -> NotConnected:
    error = NotConnected("no connection")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    return error


def test_too_many_open_files_are_not_the_destination_s_fault() -> None:
    reason = request_error(no_files(), "api.example.com", "RELAY_INNGEST_URL").reason
    assert "raise the limit (nofile)" in reason


def test_too_many_open_files_are_not_the_fault_of_aws() -> None:
    error = translate(no_files(), "sqs:ReceiveMessage", "main")
    assert (error.kind, "raise the limit (nofile)" in str(error)) == ("connection", True)


def test_other_errors_are_something_else() -> None:
    assert not out_of_files(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    assert not out_of_files(socket.gaierror(socket.EAI_NONAME, "unknown"))
    assert not out_of_files(None)
