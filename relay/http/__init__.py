"""A minimal HTTP/1.1 client for the requests that every message needs, and an ASGI server.

The client sends only POSTs to one server. Bodies are held in memory; there are no redirects,
cookies or proxies. Only a request that was lost with a stale connection is repeated. A general
client costs three to thirty times the CPU; see docs/performance.md.
"""

from relay.http.client import HttpClient
from relay.http.connection import IncompleteResponse, NotConnected, Response

__all__ = ["HttpClient", "IncompleteResponse", "NotConnected", "Response"]
