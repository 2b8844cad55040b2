"""What one check found out, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

CheckStatus: TypeAlias = Literal["ok", "warn", "fail", "not checked"]


@dataclass(frozen=True, slots=True)
class PolicyStatement:
    """The IAM statement that a role needs, to be pasted into its policy."""

    actions: tuple[str, ...]
    resource: str

    def document(self) -> dict[str, Any]:
        """The statement as IAM's JSON has it."""
        return {"Effect": "Allow", "Action": list(self.actions), "Resource": self.resource}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The end of one check.

    Attributes:
        check: its name, stable and for machines, such as `dlq.retention`.
        state: `not checked` where no harmless call can tell, or where the answer is out of reach.
        found: what is so, a phrase with the figures.
        why: why it matters; empty where all is well.
        fix: what to do; empty where nothing has to be done.
        statement: what the role needs, where the check is about a permission.
    """

    check: str
    state: CheckStatus
    found: str
    why: str = ""
    fix: str = ""
    statement: PolicyStatement | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding for machines; what is empty is left out."""
        told = {"why": self.why, "fix": self.fix}
        return {
            "check": self.check,
            "state": self.state,
            "found": self.found,
            **{name: text for name, text in told.items() if text},
            **({"statement": self.statement.document()} if self.statement else {}),
        }


def ok(check: str, found: str) -> CheckResult:
    """All is well."""
    return CheckResult(check=check, state="ok", found=found)


def not_checked(
    check: str,
    found: str,
    *,
    why: str = "",
    fix: str = "",
    statement: PolicyStatement | None = None,
) -> CheckResult:
    """Nobody knows, and how to find out."""
    return CheckResult(
        check=check, state="not checked", found=found, why=why, fix=fix, statement=statement
    )


def rule(
    check: str,
    found: str,
    *,
    holds: bool,
    why: str,
    fix: str,
    otherwise: CheckStatus = "fail",
    statement: PolicyStatement | None = None,
) -> CheckResult:
    """`ok` where the rule holds, `otherwise` with reason and fix where it does not."""
    if holds:
        return ok(check, found)
    return CheckResult(
        check=check, state=otherwise, found=found, why=why, fix=fix, statement=statement
    )


def failed(findings: Iterable[CheckResult]) -> bool:
    """Whether something will not work."""
    return any(finding.state == "fail" for finding in findings)


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_KIB = 1_024


def duration(seconds: float) -> str:
    """`13 d`, `90 min`, `45 s`: the largest unit in which at most one decimal is needed."""
    for size, unit in _UNITS:
        if seconds >= size and (seconds * 10) % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def size(count: int) -> str:
    """`1 MiB`, `256 KiB`, `1000 bytes`."""
    for unit, factor in (("MiB", _KIB * _KIB), ("KiB", _KIB)):
        if count >= factor and (count * 10) % factor == 0:
            return f"{count / factor:g} {unit}"
    return f"{count} bytes"
