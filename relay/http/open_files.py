"""Open files: how many connections fit the limit, and which errors mean that it is reached."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

RESERVED = 160
"""Files for everything but the HTTP server: connections to the destination, SQS and DynamoDB, logs,
and the connections that the system accepts before the server can close them."""

MOST = 1_024
"""Connections of the HTTP server. sqsd opens fifty, and each is a message in flight."""

FEWEST = 16

BACKLOG = 64
"""Connections that wait to be accepted. All of them can be accepted at once."""

TOO_MANY = "too many open files: raise the limit (nofile) of the relay's process"
"""The sentence for a person."""


def file_limit() -> int | None:
    """The process's limit of open files; None if there is none."""
    try:
        import resource  # noqa: PLC0415 - it does not exist for Windows
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def server_connections(limit: int | None) -> int:
    """The most connections of an HTTP server in a process with this limit of open files."""
    return MOST if limit is None else max(FEWEST, min(MOST, limit - RESERVED))


def out_of_files(error: BaseException | None) -> bool:
    """Whether the error, or one that it came from, is the limit of open files.

    A name that does not resolve may be the same: the resolver does not say that it could not open
    its files.
    """
    for cause in causes(error):
        if isinstance(cause, socket.gaierror):
            return _cannot_open()
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return True
    return False


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that it came from."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from causes(one)
    yield from causes(error.__cause__ or error.__context__)


def _cannot_open() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
