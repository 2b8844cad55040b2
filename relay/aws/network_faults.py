"""The network between this machine and AWS: which errors proxies, certificates and names cause."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass

from relay.http.open_files import causes
from relay.http.proxies import Proxy, ProxyFailed, proxy_refused, proxy_unreachable
from relay.http.proxy_variables import InvalidProxy, proxy_for
from relay.http.tls import Fault, certificate_fault

_ADVICE: dict[Fault, tuple[str, str]] = {
    "unknown-issuer": (
        ": set AWS_CA_BUNDLE to the file with the certificate of its authority",
        "AWS_CA_BUNDLE",
    ),
    "wrong-name": (": correct the endpoint", "AWS_ENDPOINT_URL"),
}
"""What to do about a certificate, and the variable to check."""

_SOMEWHERE = ("https://sqs.amazonaws.com", "http://sqs.amazonaws.com")


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """A failed call that AWS has no part in. `variable` is what to check; None for nothing."""

    code: str
    sentence: str
    variable: str | None
    transient: bool


def network_fault(error: Exception, what: str, host: str | None = None) -> NetworkFault | None:
    """The fault if a proxy, a certificate or a name is the cause; `what` is the call to `host`."""
    for cause in causes(error):
        if isinstance(cause, InvalidProxy):
            return NetworkFault("InvalidProxy", str(cause), cause.variable, transient=False)
        failed = _proxy_failed(cause)
        if failed is not None:
            sentence = f"{what} failed: {failed.sentence}"
            transient = failed.variable is None
            return NetworkFault("ProxyFailed", sentence, failed.variable, transient)
    found = certificate_fault(error, "the AWS endpoint")
    if found is None:
        return _name_fault(error, what, host)
    advice, variable = _ADVICE.get(found.fault, ("", None))
    code = f"Certificate-{found.fault}".title().replace("-", "")
    return NetworkFault(code, f"{what} failed: {found.sentence}{advice}", variable, transient=False)


def _name_fault(error: Exception, what: str, host: str | None) -> NetworkFault | None:
    """The fault if a name does not resolve: a wrong region, or no answer from its name servers."""
    host = host or "of the AWS endpoint"
    for cause in causes(error):
        if is_aiohttp_error(cause, "ClientConnectorError"):
            host = str(getattr(cause, "host", host))
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            sentence = f"{what} failed: the name {host} does not resolve: check the region"
            return NetworkFault("UnknownName", sentence, None, transient=True)
    return None


def _proxy_failed(cause: BaseException) -> ProxyFailed | None:
    """The error as the relay's own HTTP client would raise it, for aiohttp's too."""
    if isinstance(cause, ProxyFailed):
        return cause
    refused = is_aiohttp_error(cause, "ClientHttpProxyError")
    if not refused and not is_aiohttp_error(cause, "ClientProxyConnectionError"):
        return None
    proxy = _proxy()
    if proxy is None:
        return None
    if refused:
        return proxy_refused(proxy, int(getattr(cause, "status", 0)), "AWS")
    return proxy_unreachable(proxy, cause)


def is_parser_error(error: Exception) -> bool:
    """Whether it is botocore's error for a response that it cannot read."""
    parsers = sys.modules.get("botocore.parsers")  # 7 MB; one that is not imported raises nothing
    return parsers is not None and isinstance(error, parsers.ResponseParserError)


def is_aiohttp_error(error: BaseException, name: str) -> bool:
    """Whether it is an error of aiohttp, which is imported only if one of its clients is used."""
    aiohttp = sys.modules.get("aiohttp")
    return aiohttp is not None and isinstance(error, getattr(aiohttp, name))


def _proxy() -> Proxy | None:
    found = (proxy_for(url) for url in _SOMEWHERE)
    return next((proxy for proxy in found if proxy is not None), None)
