"""What sqsd and nginx are set to on this machine, where their files can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relay.ops.doctor.result import CheckResult, not_checked, rule, size

ROOT = Path("/")
MARK = "opt/elasticbeanstalk"
"""The platform's own directory: elsewhere an nginx is none of ours."""
SQSD_FILE = "etc/aws-sqsd.d/default.yaml"
NGINX_FILES = (
    "etc/nginx/nginx.conf",
    "etc/nginx/conf.d/*.conf",
    "etc/nginx/conf.d/elasticbeanstalk/*.conf",
)
LARGEST_HEADER = 1_048_576
"""Bytes: a message attribute comes as one header line and may fill the whole message."""

_SQSD = {
    "inactivity_timeout": "sqsd_inactivity_timeout",
    "visibility_timeout": "sqsd_visibility_timeout",
    "error_visibility_timeout": "sqsd_error_visibility_timeout",
    "retention": "sqsd_retention",
}
_PAIR = re.compile(r"^\s*:?([a-z_]+)\s*:\s*[\"']?([^\"'#\s]+)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^\s*([a-z_]+)\s+([^;#{}]+);", re.MULTILINE)
_AMOUNT = re.compile(r"(\d+)([a-z]*)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1, "k": 1_024, "m": 1_048_576, "g": 1_073_741_824}


@dataclass(frozen=True, slots=True)
class Platform:
    """What the files say: sqsd's options and nginx's directives, None where unreadable."""

    sqsd: Mapping[str, str] | None
    nginx: Mapping[str, str] | None

    @property
    def figures(self) -> dict[str, float]:
        """The clocks among them, by the names of the fields of `relay.clocks.Clocks`."""
        told = self.sqsd or {}
        found = {
            name: float(told[option])
            for option, name in _SQSD.items()
            if told.get(option, "").isdecimal()
        }
        if self.nginx is not None:
            # nginx's own default where no file speaks of it.
            found["nginx_read_timeout"] = _seconds(self.nginx.get("proxy_read_timeout", "60s"))
        return found

    @property
    def queue_url(self) -> str | None:
        """The queue that the daemon on this machine takes from."""
        return (self.sqsd or {}).get("queue_url")


def read_platform(root: Path = ROOT) -> Platform:
    """Read the files of the worker tier below `root`. Never raises for what is absent."""
    if not (root / MARK).is_dir():
        return Platform(None, None)
    sqsd = _texts(root, [SQSD_FILE])
    nginx = _texts(root, NGINX_FILES)
    return Platform(
        dict(_PAIR.findall(sqsd[0])) if sqsd else None,
        # Files further in come later and win, as they do for the server that includes them.
        {name: " ".join(value.split()) for name, value in _directives(nginx)} if nginx else None,
    )


def check_platform(platform: Platform, queue: str | None = None) -> Iterator[CheckResult]:
    """What the daemon takes from, and the directives without which messages change on the way.

    `queue` is what the settings call the queue: its URL, ARN or name.
    """
    if queue is not None and platform.queue_url is not None:
        yield rule(
            "sqsd.queue",
            platform.queue_url,
            holds=_name(platform.queue_url) == _name(queue),
            why="the relay judges and dead-letters by another queue than the one it gets",
            fix="let RELAY_QUEUE_URL and the environment's WorkerQueueURL name the same queue",
        )
    if platform.sqsd is None:
        yield not_checked(
            "sqsd",
            f"/{SQSD_FILE} cannot be read here",
            why="its clocks decide whether an outage loses messages",
            fix="run this on an instance of the worker environment, as root",
        )
    if platform.nginx is None:
        yield not_checked(
            "nginx",
            "/etc/nginx cannot be read here",
            why="by default it cuts requests off at 60 s and drops headers with _ or .",
            fix="run this on an instance, or there: `sudo nginx -T`",
        )
        return
    yield from _nginx(platform.nginx)


def _nginx(told: Mapping[str, str]) -> Iterator[CheckResult]:
    lost = "message attributes with _ or . in their name vanish without a word"
    for name, wanted, default in (
        ("underscores_in_headers", "on", "off"),
        ("ignore_invalid_headers", "off", "on"),
    ):
        value = told.get(name, default)
        yield rule(
            f"nginx.{name.replace('_', '-')}",
            value,
            holds=value == wanted,
            why=lost,
            fix=f"{name} {wanted}; in .platform/nginx/conf.d/relay.conf",
        )
    largest = _bytes(told.get("large_client_header_buffers", "4 8k").rpartition(" ")[2])
    yield rule(
        "nginx.large-client-header-buffers",
        size(largest),
        holds=largest >= LARGEST_HEADER,
        why="a larger message attribute is answered 400, and its message never gets through",
        fix="large_client_header_buffers 4 1100k; in .platform/nginx/conf.d/relay.conf",
        otherwise="warn",
    )
    body = _bytes(told.get("client_max_body_size", "1m"))
    yield rule(
        "nginx.client-max-body-size",
        size(body) if body else "no limit",
        holds=body == 0 or body >= LARGEST_HEADER,
        why="a larger message is answered 413, and never gets through",
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
