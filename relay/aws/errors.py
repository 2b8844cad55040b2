"""`AwsError`, the only exception that this package raises, and the translation into it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from botocore import exceptions as boto  # type: ignore[import-untyped]  # ships no types

from relay.aws.network_faults import is_aiohttp_error, is_parser_error, network_fault
from relay.http.open_files import TOO_MANY, out_of_files
from relay.model.outcome import MAX_CODE, MAX_REASON, shortened
from relay.output.redaction import Redactor

Kind: TypeAlias = Literal[
    "throttled",
    "denied",
    "missing",
    "kms",
    "misconfigured",
    "credentials",
    "expired-credentials",
    "connection",
    "other",
]

NO_CREDENTIALS = "NoCredentialsError"
"""The code of the error if no credentials are found anywhere."""

_KINDS: dict[str, Kind] = {
    "RequestThrottled": "throttled",
    "Throttling": "throttled",
    "ThrottlingException": "throttled",
    "ThrottledException": "throttled",
    "RequestThrottledException": "throttled",
    "TooManyRequestsException": "throttled",
    "RequestLimitExceeded": "throttled",
    "SlowDown": "throttled",
    "ProvisionedThroughputExceededException": "throttled",
    "OverLimit": "throttled",
    "KmsThrottled": "throttled",
    "KmsThrottlingException": "throttled",
    "KMS.ThrottlingException": "throttled",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "AuthFailure": "credentials",
    "AuthorizationError": "denied",
    "UnauthorizedOperation": "denied",
    "OptInRequired": "denied",
    "InvalidSecurity": "credentials",
    "InvalidClientTokenId": "credentials",
    "InvalidAccessKeyId": "credentials",
    "UnrecognizedClientException": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "InvalidSignatureException": "credentials",
    "IncompleteSignature": "denied",
    "MissingAuthenticationToken": "credentials",
    "QueueDoesNotExist": "missing",
    "NonExistentQueue": "missing",
    "QueueDeletedRecently": "missing",
    "InvalidAddress": "missing",
    "NoSuchBucket": "missing",
    "NoSuchKey": "missing",
    "ResourceNotFoundException": "missing",
    "ParameterNotFound": "missing",
    "InvalidToken": "expired-credentials",
    "InvalidIdentityToken": "credentials",
    "ExpiredToken": "expired-credentials",
    "ExpiredTokenException": "expired-credentials",
    "RequestExpired": "expired-credentials",
    "TokenRefreshRequired": "expired-credentials",
    "InternalError": "connection",
    "InternalFailure": "connection",
    "InternalServerError": "connection",
    "ServiceUnavailable": "connection",
    "ServiceUnavailableException": "connection",
    "RequestTimeout": "connection",
    "RequestTimeoutException": "connection",
}
_FIXES: dict[Kind, str] = {
    "throttled": "AWS throttles {what}; it is retried more slowly",
    "denied": "{what} is not permitted: grant {permission}, or use other credentials",
    "missing": "{what} failed because there is no such resource in this account and region",
    "kms": "{what} failed because of the KMS key: grant kms:Decrypt and kms:GenerateDataKey, and "
    "check that the key is enabled",
    "misconfigured": "{what} failed because of the AWS configuration of this machine",
    "credentials": "{what} is refused because AWS does not accept the credentials of this machine: "
    "check {source}",
    "expired-credentials": "{what} failed because the AWS credentials have expired: check {source}",
    "connection": "{what} got no valid answer from AWS",
    "other": "{what} failed",
}
_NO_ANSWER = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    OSError,  # includes TimeoutError, asyncio's too
    asyncio.IncompleteReadError,
)
_NOT_RENEWED = (
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
)
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoAuthTokenError)
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a response of unexpected types raises."""

_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ROLE_ARN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""The variables that say where credentials are, in the order in which they count."""

_CLOCK_SKEW = ("Signature expired", "Signature not yet current")
"""How AWS's message starts if the time of a signature is wrong; the code is that of a wrong key."""

_VARIABLES: dict[type[Exception], str] = {
    boto.NoRegionError: "AWS_REGION",
    boto.InvalidRegionError: "AWS_REGION",
    boto.ProfileNotFound: "AWS_PROFILE",
    boto.ConfigParseError: "AWS_CONFIG_FILE",
}


_redactor = Redactor()
_REDACTED = 10 * MAX_REASON
"""Characters of a sentence that are searched for secrets. What is longer is cut anyway."""


class AwsError(Exception):
    """A call to AWS failed. The text is a sentence for a person, shortened if it is long.

    Attributes:
        code: the service's error code, or the exception's name if no service answered.
        kind: the kind of failure, which decides what to do. `connection` means that there was no
            answer (the request may have been carried out) or that the service itself failed.
        variable: the environment variable to check if this machine is misconfigured, or what else
            its credentials come from.
    """

    def __init__(
        self, code: str, kind: Kind, sentence: str, *, variable: str | None = None
    ) -> None:
        # It may repeat what the service answered, and is shown before any setting is known.
        self.sentence = shortened(_redactor.redact(sentence[:_REDACTED]))
        super().__init__(self.sentence)
        self.code = shortened(code, MAX_CODE)
        self.kind = kind
        self.variable = variable

    @property
    def transient(self) -> bool:
        """Whether the same call can be expected to succeed later."""
        return self.kind in ("throttled", "connection", "expired-credentials")


def error_from_response(code: str, detail: str, status: int, action: str, subject: str) -> AwsError:
    """The error for a response with an error code.

    Args:
        code: the service's code, in its old (`AWS.SimpleQueueService.…`) or new form.
        detail: the service's message.
        status: the HTTP status.
        action: the permission that the call needs, such as `sqs:ReceiveMessage`.
        subject: the resource, for instance a queue's URL.
    """
    kind, what = kind_of(code, status), f"{action} on {subject}"
    source = credentials_source()
    advice = _FIXES[kind].format(what=what, permission=action, source=source)
    if code == "RequestTimeTooSkewed" or detail.startswith(_CLOCK_SKEW):
        kind, advice = "misconfigured", f"{what} is refused because this machine's clock is wrong"
    variable = source if kind == "credentials" else None
    return AwsError(code, kind, f"{advice} ({code}: {detail or 'no details'})", variable=variable)


def credentials_source() -> str:
    """What to check for credentials that do not work: the variable that they come from, if any."""
    found = next(filter(os.environ.get, _CREDENTIALS), None)
    return found or "the credentials file or the role of this machine"


def misconfigured(error: Exception, variable: str) -> AwsError:
    """The error for a misconfiguration of this machine; `variable` is what to check."""
    # Some of the library's sentences end with a full stop, others do not.
    sentence = f"{str(error).rstrip('.')}; see {variable}"
    return AwsError(type(error).__name__, "misconfigured", sentence, variable=variable)


def invalid_response(action: str, subject: str, missing: str) -> AwsError:
    """The error for a success without content: another server answers at the service's address."""
    return _invalid(action, subject, f"has no {missing}")


@contextmanager
def reading(action: str, subject: str) -> Iterator[None]:
    """Read a response in the block: what cannot be read is an `AwsError` of kind `connection`.

    Another server may answer at the service's address, and an emulator may answer anything. An
    unexpected exception would end the task that made the call.
    """
    try:
        yield
    except MALFORMED as error:
        raise _invalid(action, subject, f"cannot be read: {error!r:.200}") from error


@contextmanager
def calling(action: str, subject: str) -> Iterator[None]:
    """Call a client of aiobotocore and read its response in the block. Raises only `AwsError`."""
    with reading(action, subject):
        try:
            yield
        except Exception as error:
            # Some of the library's own exceptions are a ValueError too.
            if isinstance(error, MALFORMED) and not isinstance(error, boto.BotoCoreError):
                raise
            raise translate(error, action, subject) from error


def read_text(value: Any) -> str:
    """The value, which must be a text.

    Raises:
        TypeError: it is something else.
    """
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} in place of a text")
    return value


def _invalid(action: str, subject: str, what: str) -> AwsError:
    advice = _FIXES["connection"].format(what=f"{action} on {subject}")
    sentence = f"{advice}: the response {what}; see AWS_ENDPOINT_URL"
    return AwsError("InvalidResponse", "connection", sentence, variable="AWS_ENDPOINT_URL")


def kind_of(code: str, status: int = 400) -> Kind:
    """The kind of failure that a service's error code stands for."""
    short = code.removeprefix("com.amazonaws.sqs#").removeprefix("AWS.SimpleQueueService.")
    if short in _KINDS:
        return _KINDS[short]
    if short.startswith(("Kms", "KMS.")):
        return "kms"
    return "throttled" if status == 429 else "connection" if status >= 500 else "other"  # noqa: PLR2004 - HTTP's numbers


def translate(error: Exception, action: str, subject: str, host: str | None = None) -> AwsError:
    """The exception of a call to AWS as an `AwsError`. `host` is the one that was called."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, boto.ClientError):
        details = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
        code = str(details.get("Code", "Unknown"))
        return error_from_response(code, str(details.get("Message", "")), status, action, subject)
    name = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        source, why = credentials_source(), str(error).rstrip(".")
        sentence = f"no usable AWS credentials were found ({why}): check {source}"
        return AwsError(name, "credentials", sentence, variable=source)
    if type(error) in _VARIABLES:
        return misconfigured(error, _VARIABLES[type(error)])
    if isinstance(error, _NOT_RENEWED):
        sentence = f"the AWS credentials could not be retrieved ({name}: {error})"
        return AwsError(name, "expired-credentials", sentence)
    return _no_answer(error, action, subject, host)


def _no_answer(error: Exception, action: str, subject: str, host: str | None) -> AwsError:
    """The error of a call that failed between this machine and the service."""
    if (fault := network_fault(error, f"{action} on {subject}", host)) is not None:
        found: Kind = "connection" if fault.transient else "misconfigured"
        return AwsError(fault.code, found, fault.sentence, variable=fault.variable)
    name = type(error).__name__
    unanswered = (
        isinstance(error, _NO_ANSWER)
        or is_aiohttp_error(error, "ClientError")
        or is_parser_error(error)
    )
    kind: Kind = "connection" if unanswered else "other"
    advice = _FIXES[kind].format(what=f"{action} on {subject}", permission=action)
    detail = TOO_MANY if out_of_files(error) else f"{name}: {error}"
    return AwsError(name, kind, f"{advice} ({detail})")
