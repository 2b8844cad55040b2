"""The sockets that an HTTP server listens on."""

from __future__ import annotations

import errno
import socket

from relay.http.addresses import authority
from relay.http.open_files import BACKLOG

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors of an address that this machine does not have."""


class CannotListen(OSError):
    """The address cannot be bound. `reason` is a phrase for a person, with the address."""

    def __init__(self, number: int | None, reason: str) -> None:
        super().__init__(number, reason)
        self.reason = reason


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host; that for all of IPv6 takes IPv4, too.

    Raises:
        CannotListen: an address cannot be bound.
    """
    bound, missing = list[socket.socket](), None
    try:
        for family, address in _listening_addresses(host):
            dual = address == "::" and socket.has_dualstack_ipv6()
            try:
                one = socket.create_server(
                    (address, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual
                )
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error  # such as ::1 of `localhost` on a machine without IPv6
                continue
            bound.append(one)
            port = one.getsockname()[1]
        if missing is not None and not bound:
            raise missing
    except OSError as error:
        for one in bound:
            one.close()
        # The library appends the address, in its own notation.
        why = (error.strerror or str(error)).partition(" (while ")[0]
        reason = f"cannot listen on {authority(host, port)}: {why}"
        raise CannotListen(error.errno, reason) from error
    return bound


def _listening_addresses(host: str) -> dict[tuple[socket.AddressFamily, str], None]:
    found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)
