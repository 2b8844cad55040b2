"""A lean HTTP/1.1 client for the few requests that every message needs.

One server, POSTs only, bodies whole in memory, no redirects, no cookies, no proxies, no second try.
A general client costs three to thirty times the CPU; see docs/performance.md.
"""

from relay.http.client import HttpClient
from relay.http.connection import Answer, IncompleteResponse, NotConnected

__all__ = ["Answer", "HttpClient", "IncompleteResponse", "NotConnected"]
