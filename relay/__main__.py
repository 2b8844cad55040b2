"""`python -m relay`, and the console script `relay`: how its process starts and ends.

Nothing is imported before an interruption can be answered: the libraries take a second, in which a
person may have changed their mind.
"""

from __future__ import annotations

import errno
import os
import sys

FAILED = 1
INTERRUPTED = 130

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line. What ends it from outside is a sentence and not a traceback."""
    _open_streams()
    try:
        try:
            from relay.cli import main as command_line  # noqa: PLC0415 - as said above

            command_line()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _leave(f"the output cannot be written: {error.strerror}", FAILED)


def _open_streams() -> None:
    """Stand in for what the shell closed: otherwise the next file or socket opened gets its number.

    Python has None for such a stream, which no library expects.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open for as long as the process


def _leave(sentence: str, code: int) -> None:
    """Say why and exit, past whatever the streams still hold and cannot get rid of."""
    try:
        sys.stderr.write(f"relay: {sentence}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody is left to be told
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    sys.exit(code)


if __name__ == "__main__":
    main()
