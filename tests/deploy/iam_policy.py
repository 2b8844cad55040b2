"""Evaluates the allowing statements of IAM policies, as far as the stack uses their language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.aws_calls import Call
from tests.deploy.template import listed

OPERATORS = ("StringEquals", "StringLike")


@dataclass(frozen=True)
class Grant:
    """One action on one resource that a statement allows."""

    sid: str
    action: str
    resource: str
    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        return f"{self.sid}: {self.action} on {self.resource}"

    def allows(self, call: Call) -> bool:
        """Whether it allows the call. A condition on an absent key does not hold."""
        return (
            _matches(self.action.lower(), call.action.lower())
            and _matches(self.resource, call.resource)
            and all(
                any(_matches(value, call.context.get(key, "")) for value in values)
                for key, values in self.conditions
            )
        )


def grants(documents: Iterable[dict[str, Any]]) -> Iterator[Grant]:
    """Every action with every resource that the policies allow."""
    for document in documents:
        for statement in listed(document["Statement"]):
            assert statement["Effect"] == "Allow", "the stack denies nothing"
            conditions = statement.get("Condition", {})
            assert set(conditions) <= set(OPERATORS), conditions
            keys = tuple(
                (key, tuple(listed(values)))
                for operator in conditions.values()
                for key, values in operator.items()
            )
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield Grant(statement["Sid"], action, resource, keys)


def _matches(pattern: str, text: str) -> bool:
    """Whether IAM's wildcards match: `*` any characters, `?` exactly one."""
    parts = ("." if c == "?" else ".*" if c == "*" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text) is not None
