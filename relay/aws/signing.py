"""Signatures of requests to AWS (Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from relay.aws.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs requests to one path of one service in one region. Caches the signing key for a day."""

    def __init__(self, service: str, region: str, host: str, path: str) -> None:
        self._host = host
        self._path = path
        self._scope = f"{region}/{service}/aws4_request"
        self._region = region
        self._service = service
        self._key = b""
        self._key_of = ("", "")

    def headers(
        self, body: bytes, headers: Mapping[str, str], credentials: Credentials, at: float
    ) -> dict[str, str]:
        """The headers to send: those given and those of the signature.

        Args:
            body: the body that will be sent.
            headers: the headers to sign, with names in lower case; `host` is added.
            credentials: the credentials to sign with.
            at: seconds since the epoch. AWS refuses a time that is five minutes off.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        sent = {**headers, "host": self._host, "x-amz-date": stamp}
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        names = sorted(sent)
        signed = ";".join(names)
        lines = "".join(f"{name}:{sent[name]}\n" for name in names)
        digest = hashlib.sha256(body).hexdigest()
        request = f"POST\n{self._path}\n\n{lines}\n{signed}\n{digest}"
        scope = f"{stamp[:8]}/{self._scope}"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
        signature = _mac(self._day_key(credentials, stamp[:8]), text).hex()
        sent["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return sent

    def _day_key(self, credentials: Credentials, day: str) -> bytes:
        if self._key_of != (credentials.secret_key, day):
            key = f"AWS4{credentials.secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = _mac(key, part)
            self._key, self._key_of = key, (credentials.secret_key, day)
        return self._key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
