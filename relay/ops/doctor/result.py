"""The result of one check: its status, why it matters and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

CheckStatus: TypeAlias = Literal["ok", "warn", "fail", "not checked"]

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_KIB = 1_024


@dataclass(frozen=True, slots=True)
class PolicyStatement:
    """An IAM policy statement that the role needs, ready to paste into its policy."""

    actions: tuple[str, ...]
    resource: str

    def document(self) -> dict[str, Any]:
        """The statement in IAM's JSON format."""
        return {"Effect": "Allow", "Action": list(self.actions), "Resource": self.resource}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: the stable, machine-readable name of the check, such as `dlq.retention`.
        status: `not checked` if no call without side effects can decide it, or the answer is out
            of reach.
        found: the actual state, with the values.
        why: why it matters; empty if the status is `ok`.
        fix: what to do; empty if there is nothing to do.
        statement: the IAM statement that the role needs, for checks of a permission.
    """

    check: str
    status: CheckStatus
    found: str
    why: str = ""
    fix: str = ""
    statement: PolicyStatement | None = None

    def as_json(self) -> dict[str, Any]:
        """The result as JSON, without empty fields."""
        optional = {"why": self.why, "fix": self.fix}
        return {
            "check": self.check,
            "status": self.status,
            "found": self.found,
            **{name: text for name, text in optional.items() if text},
            **({"statement": self.statement.document()} if self.statement else {}),
        }


def ok(check: str, found: str) -> CheckResult:
    """A result with nothing to do."""
    return CheckResult(check=check, status="ok", found=found)


def not_checked(
    check: str,
    found: str,
    *,
    why: str = "",
    fix: str = "",
    statement: PolicyStatement | None = None,
) -> CheckResult:
    """A check that could not be made; `fix` says how to find out."""
    return CheckResult(
        check=check, status="not checked", found=found, why=why, fix=fix, statement=statement
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
    """`ok` if the rule holds, else the status `otherwise` with the reason and the fix."""
    if holds:
        return ok(check, found)
    return CheckResult(
        check=check, status=otherwise, found=found, why=why, fix=fix, statement=statement
    )


def failed(results: Iterable[CheckResult]) -> bool:
    """Whether any check failed."""
    return any(result.status == "fail" for result in results)


def duration(seconds: float) -> str:
    """`13 d`, `90 min`, `45 s`: in the largest unit that needs at most one decimal."""
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
