"""Runs commands of the AWS command line; a process of its own because that brings its own botocore.

Reads a JSON list of argument lists from stdin and writes a JSON list of exit codes and errors.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver  # type: ignore[import-untyped] # it ships no types


def run(arguments: list[str]) -> tuple[int, str]:
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = create_clidriver().main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    return code, errors.getvalue()


if __name__ == "__main__":
    json.dump([run(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
