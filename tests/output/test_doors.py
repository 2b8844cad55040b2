"""Only `relay.output` writes to the terminal, opens rich's console, and makes files for people."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "relay"
DOOR = PACKAGE / "output"

WRITERS = {
    "print",
    "pprint",
    "typer.echo",
    "typer.secho",
    "typer.prompt",
    "typer.confirm",
    "click.echo",
    "rich.print",
    "Console",
    "rich.console.Console",
    "sys.stdout",
    "sys.stderr",
    "sys.__stdout__",
    "sys.__stderr__",
    "traceback.print_exc",
    "traceback.print_exception",
}
"""Names that write to the terminal, or give access to it."""

OPENERS = {"open", "os.open", "tempfile.mkstemp"}
WRITING_METHODS = {"open", "write_text", "write_bytes", "mkdir", "touch"}

TERMINAL_USERS = {
    "app/console/serve.py": "its `Console` is a web page",
    "local/lambda_events/runtime.py": "flushes what the function's process printed",
    "local/demo/python_sdk.py": "a program of its own, which answers the demo in JSON",
    "__main__.py": "prepares the streams before anything else is imported",
    "app/audit.py": "hands standard error to the log, which formats its lines safely",
    "telemetry/log.py": "writes lines that log_format has escaped",
    "supervisor/child.py": "flushes the streams before a fork and at the end of a process",
}
FILE_WRITERS = {
    "cli/dev.py": "in a temporary directory, which only its owner can read",
    "local/lambda_events/execution.py": "in a temporary directory, which only its owner can read",
    "http/open_files.py": "opens /dev/null, to read",
    "dlq/records.py": "opens a directory, to sync it",
    "__main__.py": "opens /dev/null",
    "telemetry/cloudwatch.py": "metrics of EMF: no text of a producer or a server",
    "local/processes.py": "in a temporary directory, which only its owner can read",
    "local/inngest/disk.py": "with mode 600; an emulator of another server",
}


def modules() -> list[Path]:
    """All modules outside the door."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if DOOR not in path.parents]


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return before and f"{before}.{node.attr}"
    return ""


def uses_terminal(tree: ast.AST) -> Iterator[str]:
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(part, ast.expr)
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in annotations:
            name = dotted(node)
            if name in WRITERS:
                yield f"{name}, line {node.lineno}"


def writes_files(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, method = dotted(node.func), getattr(node.func, "attr", "")
        modes = [
            arg.value
            for arg in (*node.args, *(keyword.value for keyword in node.keywords))
            if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
        writing = any({*"wax+"} & {*mode} and {*mode} <= {*"rwabtx+"} for mode in modes)
        if (name in OPENERS and (writing or name != "open")) or (
            method in WRITING_METHODS and name not in OPENERS and (writing or method != "open")
        ):
            yield f"{name or method}, line {node.lineno}"


@pytest.mark.parametrize(
    ("find", "allowed"), [(uses_terminal, TERMINAL_USERS), (writes_files, FILE_WRITERS)]
)
def test_no_other_module_writes(find: object, allowed: dict[str, str]) -> None:
    assert callable(find)
    found = {
        str(path.relative_to(PACKAGE)): uses
        for path in modules()
        if (uses := list(find(ast.parse(path.read_text()))))
    }
    assert {name: uses for name, uses in found.items() if name not in allowed} == {}
    assert set(allowed) <= {*found}


@pytest.mark.parametrize(
    "text", ["print(1)", "f(sys.stdout)", "x = Console()", "typer.echo('')", "p = print"]
)
def test_a_use_of_the_terminal_is_found(text: str) -> None:
    assert list(uses_terminal(ast.parse(text)))


@pytest.mark.parametrize(
    "text", ["open('x', 'w')", "path.open('ab')", "p.write_text(t)", "p.mkdir()", "os.open(p, 1)"]
)
def test_a_write_of_a_file_is_found(text: str) -> None:
    assert list(writes_files(ast.parse(text)))
