"""Who may use the console, and from where: the token, the cookie, the host, the form's token.

The browser of an operator also shows other people's pages, and any of them can send requests to an
address on loopback. So each request needs a cookie that only the printed address gives
(`SameSite=Strict`) and a `Host` that is the console's own (DNS rebinding). A request that changes
something also needs an origin that is the console's own, and a token that only its pages contain.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

TOKEN = "token"  # noqa: S105 - the name of a parameter
FORM_TOKEN = "_token"  # noqa: S105 - the name of a field
SIGN_IN = "/sign-in"
STATIC = "/static/"

MAX_FORM = 8 * 1_048_576
"""Bytes of a form. An edited body of a mebibyte may be three times as large once it is encoded."""

MAX_FIELDS = 1_000

SAFE_METHODS = ("GET", "HEAD")

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Sent with every response. Nothing inline, nothing from elsewhere, no frames, nothing cached."""

Form: TypeAlias = Mapping[str, Sequence[str]]
"""The fields of a form, each with its values."""

Action: TypeAlias = Callable[[Request, Form], Awaitable[Response]]


class Refused(Exception):
    """The request is refused. `code` is stable, the text is a sentence that says what to do."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence


@dataclass(slots=True)
class Access:
    """The rules of one running console.

    Nothing is answered before `serve_at` was called.

    Attributes:
        write: whether actions that change queues are allowed.
        prefix: the path below which the console is, empty or such as `/relay`.
        token: opens the console; a part of the printed address.
        secure: whether the browser may send the cookie by HTTPS only.
    """

    write: bool = False
    prefix: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    secure: bool = False
    _hosts: frozenset[str] = frozenset()
    _origins: frozenset[str] = frozenset()
    _cookie: str = "relay-console"
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def serve_at(self, port: int, *origins: str) -> None:
        """Answer requests for these origins, such as `http://127.0.0.1:8290`.

        The port is a part of the cookie's name: the ports of one host share their cookies.
        """
        self._origins = frozenset(origins)
        self._hosts = frozenset(origin.partition("://")[2] for origin in origins)
        self._cookie = f"relay-console-{port}"

    @property
    def form_token(self) -> str:
        """What each form of the console contains."""
        return self._derived(b"form")

    def check_host(self, request: Request) -> None:
        """Refuse a request whose `Host` is not the console's own."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise Refused(
                421,
                "host_not_allowed",
                "the console does not answer to this host name: open the address that"
                " `relay console` printed, or name the address of a proxy with --base-url",
            )

    def check_site(self, request: Request) -> None:
        """Refuse what changes something unless it was sent by a page of the console.

        Browsers send `Sec-Fetch-Site`, old ones at least `Origin`, and pages can forge neither.
        Where both are sent, `Origin` is `null`, because the pages send no referrer.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        own = origin is None or origin.lower() in self._origins
        if site != "same-origin" and (site is not None or not own):
            raise Refused(
                403,
                "other_site",
                "the request was sent by another site: use the buttons of the console itself",
            )

    def signed_in(self, request: Request) -> bool:
        """Whether the request has the cookie."""
        return _equal(request.cookies.get(self._cookie, ""), self._derived(b"cookie"))

    def sign_in(self, token: str, location: str) -> Response:
        """Set the cookie and go to the location, a path with its query.

        Raises:
            Refused: it is not the token.
        """
        if not _equal(token, self.token):
            raise Refused(
                401,
                "wrong_token",
                "this token is not the console's: each start of `relay console` prints a new one",
            )
        response = RedirectResponse(location, status_code=303)
        response.set_cookie(
            self._cookie,
            self._derived(b"cookie"),
            path=self.prefix or "/",
            httponly=True,
            samesite="strict",
            secure=self.secure,
        )
        return response

    def post(self, path: str, action: Action, name: str, *, changes: bool = True) -> Route:
        """A route for a form. The only way to make one, so that none is without its checks.

        Args:
            path: of the route.
            action: called with the form's fields.
            name: of the route.
            changes: whether it changes a queue, and so needs `--write`.
        """

        @wraps(action)
        async def endpoint(request: Request) -> Response:
            if changes and not self.write:
                raise Refused(
                    403,
                    "read_only",
                    "this console is read-only: start it with --write to change queues",
                )
            form = await read_form(request)
            self._check_form(form)
            return await action(request, form)

        return Route(path, endpoint, methods=["POST"], name=name)

    def _check_form(self, form: Form) -> None:
        if not _equal("".join(form.get(FORM_TOKEN, ())), self.form_token):
            raise Refused(
                403,
                "form_expired",
                "the form is from an earlier start of the console: load the page again",
            )

    def _derived(self, purpose: bytes) -> str:
        return hmac.digest(self._secret, purpose, "sha256").hex()


async def read_form(request: Request) -> Form:
    """The fields of a form that was sent URL-encoded.

    Raises:
        Refused: it is too large, or no such form.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise Refused(413, "form_too_large", "the form is larger than 8 MiB")
    try:
        return parse_qs(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise Refused(400, "not_a_form", "the request contains no form that can be read") from error


def without_token(request: Request) -> str:
    """The path and query of the request, without the token."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k != TOKEN]
    path = "/" + request.url.path.lstrip("/\\")  # never another host
    return path + (f"?{urlencode(kept)}" if kept else "")


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


Refuse: TypeAlias = Callable[[Request, Refused], Response]


class Guard:
    """The application behind the rules of `access`. Every response gets `HEADERS`.

    Args:
        app: the ASGI application.
        access: the rules.
        refuse: makes the page of a refusal.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], access: Access, refuse: Refuse) -> None:
        self.app = app
        self._access = access
        self._refuse = refuse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            early = await self._admit(request)
        except Refused as refused:
            early = self._refuse(request, refused)
        app = early or self.app
        await app(scope, receive, _with_headers(send))

    async def _admit(self, request: Request) -> Response | None:
        """None if the application may answer."""
        access, path = self._access, request.url.path.removeprefix(self._access.prefix)
        access.check_host(request)
        if request.method not in SAFE_METHODS:
            access.check_site(request)
        if path.startswith(STATIC):
            return None
        if path == SIGN_IN and request.method == "POST":
            form = await read_form(request)
            return access.sign_in("".join(form.get(TOKEN, ())), f"{access.prefix}/")
        if request.method in SAFE_METHODS and TOKEN in request.query_params:
            return access.sign_in(request.query_params[TOKEN], without_token(request))
        if not access.signed_in(request):
            raise Refused(
                401,
                "not_signed_in",
                "open the address that `relay console` printed, or enter its token here",
            )
        return None


def _with_headers(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", ())}
            added = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending
