"""docs/message.md documents every code, notice and limit."""

from __future__ import annotations

import re
from pathlib import Path

from relay.envelope import detection, fields, ids
from relay.envelope.decoding import BODY_TRUNCATED
from relay.model.message import explain_notice

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "message.md").read_text()
SOURCES = "\n".join(path.read_text() for path in (ROOT / "relay" / "envelope").glob("*.py"))


def documented(heading: str) -> set[str]:
    """The first column of the table under this heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def test_each_code_is_documented_and_no_other() -> None:
    raised = set(re.findall(r'(?:InvalidContent|Reject|_fail)\(\s*"(\w+)"', SOURCES))
    assert documented("Codes") == raised | {BODY_TRUNCATED}


def test_each_code_that_is_not_about_the_body_is_documented_and_no_other() -> None:
    files = (
        "delivery/payloads.py",
        "app/decoding.py",
        "delivery/processing.py",
        "delivery/ledger/ledger.py",
    )
    sources = "\n".join((ROOT / "relay" / name).read_text() for name in files)
    given = r'"(bad_payload_pointer|payload_[a-z_]+|expiring|ambiguous)"'
    assert documented("Codes that are not about the body") == set(re.findall(given, sources))


def test_each_notice_is_documented_and_no_other() -> None:
    given = set(re.findall(r'(?:notices\[|found\.append\(|NOT_FOUND = )"([\w-]+)"', SOURCES))
    assert documented("Notices") == given | {"unknown-field:<name>", "field-case:<name>"}


def test_each_notice_has_an_explanation_for_people() -> None:
    for notice in documented("Notices"):
        assert explain_notice(notice) != notice


def test_the_limits_of_the_code_are_documented() -> None:
    sessions = (fields.MAX_SESSIONS, fields.MAX_SESSION_KEY, fields.MAX_SESSION_ID)
    for limit in (detection.MAX_DEPTH, fields.MAX_NAME, ids.MAX_LENGTH, *sessions):
        assert f" {limit} " in PAGE
