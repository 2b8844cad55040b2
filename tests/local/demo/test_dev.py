"""`relay dev` and the snippets of the README, as a new user would run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.test_json import documented

README = Path(__file__).parents[3] / "README.md"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def dev() -> Iterator[dict[str, str]]:
    """`relay dev` on free ports; the addresses that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "dev"]
        + [f"--{name}-port=0" for name in ("sqs", "inngest", "relay", "console")],
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))},
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "/v1/events" in line:
            break
    with process.stdout:
        yield dict(
            re.findall(r"^  (SQS|Queue|Relay|Event API|Console) +(http\S+)$", printed, re.MULTILINE)
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_it_runs_a_console_at_the_address_that_it_prints(dev: dict[str, str]) -> None:
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        page = browser.get(dev["Console"])
    assert page.status_code == 200
    assert "Events are delivered." in page.text
    assert "can write" in page.text


@pytest.fixture
def shell(dev: dict[str, str]) -> dict[str, str]:
    """The environment variables that the README sets."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": dev["SQS"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


def snippet(name: str) -> str:
    """The code block after the marker of this name."""
    found = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"the README has no snippet {name}"
    return found[1]


def arrived(dev: dict[str, str], event_id: str, seconds: float = 20.0) -> dict[str, object]:
    """The event as the event API lists it, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        listed = httpx.get(f"{dev['Event API']}/v1/events", trust_env=False).json()
        for event in listed["data"]:
            if event["id"] == event_id:
                return dict(event)
        time.sleep(0.05)
    raise AssertionError(f"{event_id} did not arrive")


def test_the_boto3_snippet_publishes_an_event_that_arrives(
    dev: dict[str, str], shell: dict[str, str]
) -> None:
    subprocess.run([sys.executable, "-c", snippet("producer-boto3")], env=shell, check=True)
    assert arrived(dev, "upload-4711")["name"] == "media/uploaded"


def test_the_aws_command_line_snippet_publishes_an_event_that_arrives(
    dev: dict[str, str], shell: dict[str, str]
) -> None:
    subprocess.run(
        ["bash", "-euc", snippet("producer-aws-cli")], env=shell, check=True, capture_output=True
    )
    assert arrived(dev, "upload-4712")["name"] == "media/uploaded"


def tour(
    lines: str, dev: dict[str, str], shell: dict[str, str], directory: Path
) -> subprocess.CompletedProcess[str]:
    """Run commands of the README as in its second terminal, in a directory of the test's own."""
    lines = lines.replace("relay status", f"relay status --relay {dev['Relay']}")
    return subprocess.run(
        ["bash", "-euc", f'relay() {{ {sys.executable} -m relay "$@"; }}\n{lines}'],
        env={
            **shell,
            "PYTHONPATH": str(README.parent),
            "RELAY_QUEUE_URL": "relay",
            "RELAY_INNGEST_URL": dev["Event API"],
        },
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )


def test_the_tour_sends_an_event_and_shows_what_became_of_it(
    dev: dict[str, str], shell: dict[str, str], tmp_path: Path
) -> None:
    send, *rest = snippet("tour-send").splitlines(keepends=True)
    tour(send, dev, shell, tmp_path)
    arrived(dev, "upload-4713")
    output = tour("".join(rest), dev, shell, tmp_path).stdout
    assert "upload-4713" in output
    assert "closed" in output


def test_the_tour_repairs_a_dead_letter_and_redrives_it(
    dev: dict[str, str], shell: dict[str, str], tmp_path: Path
) -> None:
    send, *rest = snippet("tour-dlq").splitlines(keepends=True)
    tour(send, dev, shell, tmp_path)
    deadline = time.monotonic() + 20
    while "missing_name" not in tour("relay dlq stats", dev, shell, tmp_path).stdout:
        assert time.monotonic() < deadline, "the event was not dead-lettered"
    tour("".join(rest[:-1]), dev, shell, tmp_path)
    assert arrived(dev, "upload-4714")["name"] == "media/uploaded"
    assert "upload-4714" in tour(rest[-1], dev, shell, tmp_path).stdout


def test_relay_send_publishes_from_a_file(
    dev: dict[str, str], shell: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"id": "sent-1", "name": "a/b"}\n{"id": "sent-2", "name": "a/b"}\n')
    subprocess.run(
        [sys.executable, "-m", "relay", "send", str(file), "--queue", dev["Queue"]],
        env=shell,
        check=True,
        capture_output=True,
    )
    assert arrived(dev, "sent-2")


@pytest.mark.parametrize("mode", [(), ("--host", "poller")])
def test_when_the_relay_ends_the_command_ends_with_a_failure(mode: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "dev", "--json", *mode]
        + [f"--{name}-port=0" for name in ("sqs", "inngest", "relay", "console")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))},
    )
    with process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert set(addresses) == {"type"} | documented("servers")
        ready = httpx.get(f"{addresses['relay_url']}/ready", trust_env=False)
        assert ready.status_code == 200
        # The first child process of `relay dev`; the console is the second.
        found = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
        )
        os.kill(min(map(int, found.stdout.split())), signal.SIGKILL)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error.endswith("relay: the relay ended by itself, so everything was stopped\n")


def test_the_relay_is_ready(dev: dict[str, str]) -> None:
    ready = httpx.get(f"{dev['Relay']}/ready", trust_env=False)
    assert (ready.status_code, ready.json()["circuit"]) == (200, "closed")
