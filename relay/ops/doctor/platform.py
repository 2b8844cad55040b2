"""Read and check the configuration files of sqsd and nginx on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relay.ops.doctor.result import CheckResult, not_checked, rule, size

ROOT = Path("/")
PLATFORM_DIRECTORY = "opt/elasticbeanstalk"
"""Exists on Elastic Beanstalk only. On other machines, nginx is unrelated to the relay."""
SQSD_FILE = "etc/aws-sqsd.d/default.yaml"
NGINX_FILES = (
    "etc/nginx/nginx.conf",
    "etc/nginx/conf.d/*.conf",
    "etc/nginx/conf.d/elasticbeanstalk/*.conf",
)
MAX_MESSAGE_BYTES = 1_048_576
"""SQS quota. A message attribute becomes one header line and can be as large as the message."""

_SQSD = {
    "inactivity_timeout": "sqsd_inactivity_timeout",
    "visibility_timeout": "sqsd_visibility_timeout",
    "error_visibility_timeout": "sqsd_error_visibility_timeout",
    "retention": "sqsd_retention",
}
# Each stays within a line: otherwise the search would read on from every line to the end.
_PAIR = re.compile(r"^[ \t]*+:?([a-z_]++)[ \t]*+:[ \t]*+[\"']?([^\"'#\s]+)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*+([a-z_]++)[ \t]++([^;#{}\n]+);", re.MULTILINE)
_AMOUNT = re.compile(r"(\d+)([a-z]*)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1, "k": 1_024, "m": 1_048_576, "g": 1_073_741_824}


@dataclass(frozen=True, slots=True)
class Platform:
    """The contents of the files: sqsd's options and nginx's directives, None if unreadable."""

    sqsd: Mapping[str, str] | None
    nginx: Mapping[str, str] | None

    @property
    def clocks(self) -> dict[str, float]:
        """The timeouts, by field name of `relay.settings.clocks.Clocks`."""
        options = self.sqsd or {}
        found = {
            name: float(options[option])
            for option, name in _SQSD.items()
            if options.get(option, "").isdecimal()
        }
        if self.nginx is not None:
            # Without the directive nginx uses its default of 60 s.
            found["nginx_read_timeout"] = _seconds(self.nginx.get("proxy_read_timeout", "60s"))
        return found

    @property
    def queue_url(self) -> str | None:
        """The queue that sqsd on this machine receives from."""
        return (self.sqsd or {}).get("queue_url")


def read_platform(root: Path = ROOT) -> Platform:
    """Read the files of the worker tier below `root`. Missing files do not raise."""
    if not (root / PLATFORM_DIRECTORY).is_dir():
        return Platform(None, None)
    sqsd = _texts(root, [SQSD_FILE])
    nginx = _texts(root, NGINX_FILES)
    return Platform(
        dict(_PAIR.findall(sqsd[0])) if sqsd else None,
        # Included files come later and override, as in nginx.
        {name: " ".join(value.split()) for name, value in _directives(nginx)} if nginx else None,
    )


def check_platform(platform: Platform, queue: str | None = None) -> Iterator[CheckResult]:
    """Check sqsd's queue and the nginx directives that affect requests.

    `queue` is the URL, ARN or name of the queue in the settings.
    """
    if queue is not None and platform.queue_url is not None:
        yield rule(
            "sqsd.queue",
            platform.queue_url,
            holds=_name(platform.queue_url) == _name(queue),
            why="the relay uses the retention and the dead-letter queue of a queue that its"
            " messages do not come from",
            fix="set RELAY_QUEUE_URL and the environment's WorkerQueueURL to the same queue",
        )
    if platform.sqsd is None:
        yield not_checked(
            "sqsd",
            f"/{SQSD_FILE} cannot be read here",
            why="its timeouts decide whether an outage loses messages",
            fix="run this on an instance of the worker environment, as root",
        )
    if platform.nginx is None:
        yield not_checked(
            "nginx",
            "/etc/nginx cannot be read here",
            why="by default nginx ends requests after 60 s and drops headers with _ or .",
            fix="run this on an instance, or run `sudo nginx -T` there",
        )
        return
    yield from _nginx(platform.nginx)


def _nginx(directives: Mapping[str, str]) -> Iterator[CheckResult]:
    for name, required, default in (
        ("underscores_in_headers", "on", "off"),
        ("ignore_invalid_headers", "off", "on"),
    ):
        value = directives.get(name, default)
        yield rule(
            f"nginx.{name.replace('_', '-')}",
            value,
            holds=value == required,
            why="nginx silently drops message attributes with _ or . in their name",
            fix=f"{name} {required}; in .platform/nginx/conf.d/relay.conf",
        )
    header = _bytes(directives.get("large_client_header_buffers", "4 8k").rpartition(" ")[2])
    yield rule(
        "nginx.large-client-header-buffers",
        size(header),
        holds=header >= MAX_MESSAGE_BYTES,
        why="nginx returns 400 for a larger message attribute: its message is never delivered",
        fix="large_client_header_buffers 4 1100k; in .platform/nginx/conf.d/relay.conf",
        otherwise="warn",
    )
    body = _bytes(directives.get("client_max_body_size", "1m"))
    yield rule(
        "nginx.client-max-body-size",
        size(body) if body else "no limit",
        holds=body == 0 or body >= MAX_MESSAGE_BYTES,
        why="nginx returns 413 for a larger message: it is never delivered",
        fix="client_max_body_size 2m; in .platform/nginx/conf.d/relay.conf",
    )


def _name(reference: str) -> str:
    return re.split("[/:]", reference.rstrip("/"))[-1]


def _texts(root: Path, patterns: Iterable[str]) -> list[str]:
    found = []
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            try:
                found.append(path.read_text(encoding="utf-8", errors="replace"))
            except OSError:
                return []
    return found


def _directives(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        yield from _DIRECTIVE.findall(text)


def _seconds(text: str) -> float:
    return sum(float(n) * _SECONDS.get(unit.lower(), 1.0) for n, unit in _AMOUNT.findall(text))


def _bytes(text: str) -> int:
    found = _AMOUNT.match(text)
    return int(found[1]) * _BYTES.get(found[2].lower(), 1) if found else 0
