#!/usr/bin/env python
"""Fuzzes the target that `FUZZ_TARGET` names, in this process, with libFuzzer's options.

libFuzzer owns the process and ends it, so that each target needs one of its own. To reduce a corpus
it runs its own command line again, for which this file is executable and the target is a variable.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # make fuzz


def main() -> None:
    """Fuzz until the options end the run. A finding is written to a file and ends it at once."""
    with atheris.instrument_imports(include=["relay"]):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    logging.disable(logging.CRITICAL)
    atheris.Setup(sys.argv, targets[os.environ["FUZZ_TARGET"]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
