"""The entry point of `python -m relay` and of the console script `relay`.

The libraries are imported inside `main`, because that takes up to a second and Ctrl-C must work in
that time, too.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from types import FrameType

from relay.output.terminal import escape_unencodable, write

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line. An interruption or a full disk is reported without a traceback."""
    _open_streams()
    # httpx imports its own command line, with click, pygments and rich, wherever these are
    # installed: 3 MB and 0.1 s. It has no switch for that, but it does without if the import fails:
    # `httpx/__init__.py` catches the ImportError. None in `sys.modules` is Python's documented way
    # to have it raised (docs.python.org/3/reference/import.html#the-module-cache). Only
    # `httpx.main`, which nothing here calls, is then a stub. It is not done where the relay is
    # imported as a library: the program around it may want it.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # as documented there
    if os.getpid() == 1:
        # The kernel ignores SIGTERM for a container's first process until it has a handler.
        signal.signal(signal.SIGTERM, _terminated)
    try:
        try:
            from relay.cli import main as command_line  # noqa: PLC0415 - see the module docstring

            command_line()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _exit("interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            _print_traceback()
            sys.exit(FAILED)
        _exit(f"the output cannot be written: {error.strerror}", FAILED)
    except Exception:  # noqa: BLE001 - a traceback may hold a producer's text, or a secret
        _print_traceback()
        sys.exit(FAILED)


def _open_streams() -> None:
    """Prepare the standard streams: whatever a command prints, printing it must not fail.

    What the encoding cannot hold is written as an escape. For each stream that the shell closed,
    /dev/null is opened: Python sets it to None, which no library expects, and the next file or
    socket would get its descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
    for stream in (sys.stdout, sys.stderr):
        escape_unencodable(stream)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def _print_traceback() -> None:
    """Print the traceback of the current exception, without secrets and control characters."""
    from relay.app.redaction import create_redactor  # noqa: PLC0415 - see the module docstring
    from relay.settings.loading import load  # noqa: PLC0415 - see the module docstring

    text = traceback.format_exc()
    write(create_redactor(load().settings).redact(text), err=True)


def _exit(sentence: str, code: int) -> None:
    """Print why and exit, discarding buffered output that cannot be written."""
    try:
        sys.stderr.write(f"relay: {sentence}\n")
        sys.stderr.flush()
    except OSError:
        pass  # standard error cannot be written either
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)
    sys.exit(code)


if __name__ == "__main__":
    main()
