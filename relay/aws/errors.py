"""The one exception that leaves this package, and the one place that makes it."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

import aiohttp
from botocore import exceptions as boto  # type: ignore[import-untyped]  # ships no types
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # the same

Kind: TypeAlias = Literal[
    "throttled",
    "denied",
    "missing",
    "kms",
    "misconfigured",
    "expired-credentials",
    "connection",
    "other",
]

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
    "KMS.ThrottlingException": "throttled",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "AuthFailure": "denied",
    "AuthorizationError": "denied",
    "UnauthorizedOperation": "denied",
    "OptInRequired": "denied",
    "InvalidSecurity": "denied",
    "InvalidClientTokenId": "denied",
    "InvalidAccessKeyId": "denied",
    "UnrecognizedClientException": "denied",
    "SignatureDoesNotMatch": "denied",
    "InvalidSignatureException": "denied",
    "IncompleteSignature": "denied",
    "MissingAuthenticationToken": "denied",
    "QueueDoesNotExist": "missing",
    "NonExistentQueue": "missing",
    "QueueDeletedRecently": "missing",
    "InvalidAddress": "missing",
    "NoSuchBucket": "missing",
    "NoSuchKey": "missing",
    "ResourceNotFoundException": "missing",
    "ParameterNotFound": "missing",
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
    "throttled": "AWS throttles {what}; it is tried again more slowly",
    "denied": "{what} is not permitted: grant {permission}, or use other credentials",
    "missing": "{what} failed because it names something that does not exist in this account "
    "and region",
    "kms": "{what} failed at the KMS key: grant kms:Decrypt and kms:GenerateDataKey, and see "
    "that the key is enabled",
    "misconfigured": "{what} failed for the settings of this machine",
    "expired-credentials": "{what} failed because the AWS credentials have expired",
    "connection": "{what} got no usable answer from AWS",
    "other": "{what} failed",
}
_AWAY = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    ResponseParserError,
    aiohttp.ClientError,
    OSError,  # includes TimeoutError, asyncio's too
    asyncio.IncompleteReadError,
)
_STALE = (
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
)
_UNKNOWN_SELF = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoAuthTokenError)
_SKEWED = ("Signature expired", "Signature not yet current")
"""How AWS begins to say of a signature, by the code of a wrong key, that its time is wrong."""

_VARIABLES: dict[type[Exception], str] = {
    boto.NoRegionError: "AWS_REGION",
    boto.InvalidRegionError: "AWS_REGION",
    boto.ProfileNotFound: "AWS_PROFILE",
    boto.ConfigParseError: "AWS_CONFIG_FILE",
}


class AwsError(Exception):
    """AWS could not or would not answer. The text is a sentence for a person.

    Attributes:
        code: the service's code, or the exception's name where no service answered.
        kind: what to do about it. `connection` covers both no answer (the request may have been
            carried out) and a service that says that it is at fault itself.
        variable: what to look at where this machine has set something up wrong.
    """

    def __init__(
        self, code: str, kind: Kind, sentence: str, *, variable: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.kind = kind
        self.sentence = sentence
        self.variable = variable

    @property
    def transient(self) -> bool:
        """True where the same call can be expected to work later with nothing changed."""
        return self.kind in ("throttled", "connection", "expired-credentials")


def error_from_response(code: str, detail: str, status: int, action: str, subject: str) -> AwsError:
    """The error for an answer with an error code.

    Args:
        code: the service's code, in its old (`AWS.SimpleQueueService.…`) or new form.
        detail: the service's own words.
        status: the HTTP status.
        action: the permission that the call needs, such as `sqs:ReceiveMessage`.
        subject: what the call was about, a queue's URL for instance.
    """
    kind, what = kind_of(code, status), f"{action} on {subject}"
    advice = _FIXES[kind].format(what=what, permission=action)
    if code == "RequestTimeTooSkewed" or detail.startswith(_SKEWED):
        kind, advice = "misconfigured", f"{what} is refused because this machine's clock is wrong"
    return AwsError(code, kind, f"{advice} ({code}: {detail or 'no details'})")


def unusable(error: Exception, variable: str) -> AwsError:
    """The error for what this machine has set up wrong; `variable` is where to look."""
    # The library ends its own sentences in both ways.
    sentence = f"{str(error).rstrip('.')}; see {variable}"
    return AwsError(type(error).__name__, "misconfigured", sentence, variable=variable)


def senseless(action: str, subject: str, lacks: str) -> AwsError:
    """The error for a success that says nothing: somebody else answers at the service's address."""
    advice = _FIXES["connection"].format(what=f"{action} on {subject}")
    sentence = f"{advice}: {lacks} is in it; see AWS_ENDPOINT_URL"
    return AwsError("Senseless", "connection", sentence, variable="AWS_ENDPOINT_URL")


def kind_of(code: str, status: int = 400) -> Kind:
    """What kind of trouble a service's error code stands for."""
    short = code.removeprefix("com.amazonaws.sqs#").removeprefix("AWS.SimpleQueueService.")
    if short in _KINDS:
        return _KINDS[short]
    if short.startswith(("Kms", "KMS.")):
        return "kms"
    return "throttled" if status == 429 else "connection" if status >= 500 else "other"  # noqa: PLR2004 - HTTP's numbers


def translate(error: Exception, action: str, subject: str) -> AwsError:
    """Whatever a call to AWS raised, as the one exception of this package."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, boto.ClientError):
        told = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
        code = str(told.get("Code", "Unknown"))
        return error_from_response(code, str(told.get("Message", "")), status, action, subject)
    name = type(error).__name__
    if isinstance(error, _UNKNOWN_SELF):
        return AwsError(name, "denied", f"no usable AWS credentials were found: {error}")
    if type(error) in _VARIABLES:
        return unusable(error, _VARIABLES[type(error)])
    if isinstance(error, _STALE):
        kind: Kind = "expired-credentials"
    else:
        kind = "connection" if isinstance(error, _AWAY) else "other"
    advice = _FIXES[kind].format(what=f"{action} on {subject}", permission=action)
    return AwsError(name, kind, f"{advice} ({name}: {error})")
