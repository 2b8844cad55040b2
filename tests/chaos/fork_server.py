"""`python -m tests.chaos.fork_server ORIGIN SPEED`: forks relays that have imported everything.

Each line on stdin is an order, a JSON object with `arguments`, `environment`, `output` and
`mutant`; each line on stdout tells of a process: `{"started": pid}` or `{"ended": pid, "code": n}`.
A relay is a real process all the same: it can be killed, stopped and continued.
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

from tests.chaos.accelerated_clock import Haste

MODULES = (
    "relay.cli.serve",
    "relay.cli.poll",
    "relay.cli.dlq",
    "relay.app.destinations.inngest",
    "tests.chaos.mutants",
)

_running: set[int] = set()


def main() -> None:
    Haste(float(sys.argv[1]), float(sys.argv[2])).take_over()
    # After the clocks: defaults are bound when a module is imported.
    for name in MODULES:
        import_module(name)
    import_module("tests.chaos.preloading").remember_service_models()
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_relay(order)
        _running.add(pid)
        _tell({"started": pid})
    # Whoever gave the orders is gone, in whatever way: nothing of his stays behind.
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
        _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(what: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(what).encode() + b"\n")


def _become_relay(order: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        output = os.open(order["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, number)
        for name in [n for n in os.environ if n.startswith(("RELAY_", "AWS_"))]:
            del os.environ[name]
        os.environ.update(order["environment"])
        sys.argv = ["relay", *order["arguments"]]
        code = _run(order["mutant"])
    except BaseException:  # noqa: BLE001 - nothing may leave a forked child but its exit code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(mutant: str | None) -> int:
    if mutant is not None:
        import_module("tests.chaos.mutants").MUTANTS[mutant]()
    try:
        import_module("relay.cli").main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


if __name__ == "__main__":
    main()
