"""Forks relay processes that have already imported everything, so that they start quickly.

It runs as `python -m tests.chaos.fork_server ORIGIN SPEED`. Each line on stdin is a command, a JSON
object with `arguments` of `relay` or the `handler` of a Lambda function, `environment`, `output`
and `mutant`; each line on stdout is a report,
`{"started": pid}` or `{"ended": pid, "code": n}`. A forked relay is a real process: it can be
killed, stopped and continued.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

from tests.chaos.accelerated_clock import AcceleratedClock

MODULES = (
    "relay.cli.serve",
    "relay.cli.poll",
    "relay.cli.gateway",
    "relay.cli.dlq",
    "relay.cli.audit",
    "relay.app.ledger",
    "relay.app.aws_lambda",
    "relay.local.lambda_events.runtime",
    "relay.app.destinations.inngest",
    "tests.chaos.mutants",
    "tests.chaos.audit_mutants",
)

_running: set[int] = set()


def main() -> None:
    AcceleratedClock(float(sys.argv[1]), float(sys.argv[2])).take_over()
    # After `take_over`: modules bind clocks as defaults when they are imported.
    for name in MODULES:
        import_module(name)
    import_module("tests.chaos.preloading").cache_service_models()
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_relay(command)
        _running.add(pid)
        _report({"started": pid})
    # stdin is closed, so the parent has ended: its relays must not outlive it.
    for pid in tuple(_running):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _reap(_number: int, _frame: object) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _running.discard(pid)
        _report({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _report(what: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(what).encode() + b"\n")


def _become_relay(command: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        output = os.open(command["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, number)
        for name in [n for n in os.environ if n.startswith(("RELAY_", "AWS_"))]:
            del os.environ[name]
        os.environ.update(command["environment"])
        code = _run(command)
    except BaseException:  # noqa: BLE001 - a forked child must not return to the loop above
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(command: dict[str, Any]) -> int:
    if command["mutant"] is not None:
        mutants = import_module("tests.chaos.mutants").MUTANTS
        mutants |= import_module("tests.chaos.audit_mutants").AUDIT_MUTANTS
        mutants[command["mutant"]]()
    if "handler" in command:
        runtime = import_module("relay.local.lambda_events.runtime")
        return int(runtime.main([command["handler"]]))
    sys.argv = ["relay", *command["arguments"]]
    try:
        import_module("relay.cli").main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


if __name__ == "__main__":
    main()
