"""An AWS account of the test's own: S3, SQS, STS, SSO, and the endpoints that hand out credentials.

It accepts only requests signed with one of its current access keys, and keeps what it was sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relay.http.server import serving

_KEY = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
NEVER = "2099-01-01T00:00:00Z"
_STS = "<{0}Response><{0}Result>{1}</{0}Result></{0}Response>"


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Account:
    """The account's state, which a test changes.

    Attributes:
        keys: the access keys that it accepts.
        handed_out: the access key in the answers of its credential endpoints; None for a 503.
        expires: when they expire.
        refusal: the code of the error for any other key.
        answering: while it is not set, the credential endpoints do not answer.
        requests: the service, region and path of each signed request.
        asked: the paths of requests for credentials, with the authorization that they had.
    """

    url: str = ""
    keys: set[str] = field(default_factory=lambda: {"KEY1"})
    handed_out: str | None = "KEY1"
    expires: str = NEVER
    refusal: str = "ExpiredToken"
    answering: asyncio.Event = field(default_factory=_set)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """One answer, by the request's path or by the service that it is signed for."""
        path = request.url.path
        body = await request.body()
        if path.startswith(("/latest/", "/container", "/federation/")):
            self.asked.append((path, request.headers.get("authorization", "")))
            await self.answering.wait()
            return self._credentials(path)
        if b"AssumeRoleWithWebIdentity" in body:
            self.asked.append((request.headers["host"], body.decode()))
            return Response(_STS.format("AssumeRoleWithWebIdentity", self._sts()))
        found = _KEY.search(request.headers.get("authorization", ""))
        if found is None:
            return Response(status_code=400)
        key, region, service = found.groups()
        self.requests.append((service, region, path))
        if key not in self.keys:
            return _refusal(service, self.refusal)
        if service == "sts":
            identity = f"<Arn>arn:aws:iam::1:user/{key}</Arn><Account>1</Account>"
            return Response(_STS.format("GetCallerIdentity", identity))
        return Response(b"payload" if service == "s3" else b"{}")

    def _credentials(self, path: str) -> Response:
        if path == "/latest/api/token":
            return Response("token", headers={"x-aws-ec2-metadata-token-ttl-seconds": "60"})
        if self.handed_out is None:
            return Response(status_code=503)
        if path == "/latest/meta-data/iam/security-credentials/":
            return Response("role")
        found = {
            "AccessKeyId": self.handed_out,
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": self.expires,
            "Code": "Success",
        }
        if path.startswith("/federation/"):
            names = {"AccessKeyId": "accessKeyId", "SecretAccessKey": "secretAccessKey"}
            role = {names.get(n, "sessionToken"): found[n] for n in (*names, "Token")}
            found = {"roleCredentials": role | {"expiration": 4_070_908_800_000}}  # type: ignore[dict-item]
        return Response(json.dumps(found), media_type="application/json")

    def _sts(self) -> str:
        return (
            f"<Credentials><AccessKeyId>{self.handed_out}</AccessKeyId>"
            "<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
            f"<Expiration>{self.expires}</Expiration></Credentials>"
        )


def _refusal(service: str, code: str) -> Response:
    if service in ("s3", "sts"):
        error = f"<Code>{code}</Code><Message>no</Message>"
        whole = f"<Error>{error}</Error>" if service == "s3" else f"<E><Error>{error}</Error></E>"
        return Response(whole, status_code=403, media_type="application/xml")
    return Response(json.dumps({"__type": code, "message": "no"}), status_code=400)


@asynccontextmanager
async def account() -> AsyncIterator[Account]:
    """The account, at `account.url`."""
    found = Account()
    app = Starlette(
        routes=[Route("/{path:path}", found.answer, methods=["GET", "PUT", "POST", "HEAD"])]
    )
    async with serving(app) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found
