"""Types of setting values, each with a description of what is expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import jmespath  # type: ignore[import-untyped] # it ships no types
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_SECRET = re.compile(
    r"(arn:[\w-]+:(secretsmanager|ssm):[\w-]*:\d*:[^\s#]+|(ssm:)?[\w/+=.@-]+)(#[^#]+)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a value of this type must be, to complete the sentence "RELAY_X must be …"."""

    words: str


def _list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _web_address(value: str) -> str:
    """The address without a trailing slash.

    Raises:
        ValueError: it is not an address, or has parts that it must not have. The text does not
            quote it, because it may contain a secret.
    """
    value = value.strip()
    parts = urlsplit(value)
    # Anything else would have to be escaped in a request.
    plain = value.isascii() and value.isprintable() and " " not in value
    bare = plain and not (parts.username or parts.password or parts.query or parts.fragment)
    # A pasted event URL contains the key.
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise ValueError("not a bare http(s) address")
    if "/e/" in f"{parts.path}/" or parts.port == 0:
        raise ValueError("the relay adds the path itself")
    return value.rstrip("/")


def _path_expression(value: str) -> str:
    try:
        jmespath.compile(value)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError("not a JMESPath expression") from error
    return value


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or not all("!" <= c <= "~" and c not in "/?#%" for c in text):
        raise ValueError("not a key")
    return SecretStr(text)


def _secret_reference(value: str) -> str:
    if not _SECRET.fullmatch(value) or value.startswith("signkey-"):
        raise ValueError("not the name or ARN of a secret")
    return value


def _emf_target(value: str) -> str:
    if "://" not in value:
        return value
    parts = urlsplit(value)
    bare = not (parts.username or parts.password or parts.query or parts.path)
    if parts.scheme != "tcp" or not parts.hostname or not parts.port or not bare:
        raise ValueError("not the address of an agent")
    return value


def _local_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("not a path")
    return value


Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    Expected("a number of seconds above 0, such as 30 or 2.5"),
]
Wait = Annotated[
    float, Field(ge=0, allow_inf_nan=False), Expected("a number of seconds, 0 or more")
]
Count = Annotated[int, Field(ge=1), Expected("a whole number, 1 or more")]
UpTo100 = Annotated[int, Field(ge=1, le=100), Expected("a whole number from 1 to 100")]
UpTo1000 = Annotated[int, Field(ge=1, le=1_000), Expected("a whole number from 1 to 1000")]
UpTo5000 = Annotated[int, Field(ge=1, le=5_000), Expected("a whole number from 1 to 5000")]
Size = Annotated[
    int, Field(ge=1_024), Expected("a number of bytes, 1024 or more, without a unit or separators")
]
PortNumber = Annotated[int, Field(ge=1, le=65_535), Expected("a port, a number from 1 to 65535")]
WebAddress = Annotated[
    str,
    AfterValidator(_web_address),
    Expected(
        "an address such as https://inn.gs or http://10.0.0.5:8288,"
        " in ASCII and without user, query or the path that starts with /e/"
    ),
]
HeaderText = Annotated[
    str,
    Field(pattern=r"^[!-~]([ -~]*[!-~])?$"),
    Expected("a name of ASCII letters, digits and punctuation, for an HTTP header"),
]
QueueReference = Annotated[
    str,
    Field(
        # Neither a user nor a query: AWS uses none, and a secret in them would be shown.
        pattern=r"^(https?://[^/\s@?#]+/([^\s@?#]+/)?[A-Za-z0-9_.-]+/?"
        r"|arn:[a-z-]+:sqs:[a-z0-9-]*:[0-9]*:[A-Za-z0-9_.-]+|[A-Za-z0-9_-]{1,80}(\.fifo)?)$"
    ),
    Expected("a queue's URL, ARN or name"),
]
TableName = Annotated[
    str,
    Field(pattern=r"^(arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/)?[A-Za-z0-9_.-]{3,255}$"),
    Expected("the name or ARN of a DynamoDB table, such as relay-ledger"),
]
BucketName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    Expected("the name of an S3 bucket, such as relay-dead-letters"),
]
SecretReference = Annotated[
    str,
    AfterValidator(_secret_reference),
    Expected("the name or ARN of a secret, or ssm: and a parameter's name, not the secret itself"),
]
PathExpression = Annotated[
    str,
    AfterValidator(_path_expression),
    Expected("a JMESPath expression such as detail.orderId"),
]
Key = Annotated[
    SecretStr,
    AfterValidator(_key),
    Expected("a key as it was issued, without spaces, slashes or the rest of a URL"),
]
Messages = Annotated[
    str,
    Field(pattern=r"^(all|problems|1/[1-9][0-9]{0,8})$"),
    Expected("all, problems, or a share such as 1/100"),
]
EmfTarget = Annotated[
    str,
    AfterValidator(_emf_target),
    Expected(
        "stdout, the path of a file, or the address of an agent such as tcp://127.0.0.1:25888"
    ),
]
ServiceName = Annotated[
    str,
    # CloudWatch API reference, "Dimension": it drops every metric with any other value.
    Field(pattern=r"^[!-9;-~]([ -~]{0,253}[!-~])?$"),
    Expected("a name of at most 255 ASCII characters that does not start with a colon"),
]
LogGroup = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_/.#-]{1,512}$"),
    Expected("the name of a log group: letters, digits and the characters _ / . # -"),
]
BucketNames = Annotated[
    tuple[
        Annotated[
            str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{1,253}|arn:[a-z-]+:s3:[ -~]+)$")
        ],
        ...,
    ],
    NoDecode,
    BeforeValidator(_list),
    Expected("names of S3 buckets separated by commas, without s3://"),
]
EventNames = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_list),
    Expected("names of events, or patterns such as media/*, separated by commas"),
]
LocalPaths = Annotated[
    tuple[Annotated[str, AfterValidator(_local_path)], ...],
    NoDecode,
    BeforeValidator(_list),
    Expected("paths that start with a slash, separated by commas, such as /nightly,/hourly"),
]
