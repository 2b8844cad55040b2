"""The destinations that there is a stand-in of, and what each of them takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec

from relay.local.orchestrators.redis_server import PROGRAM
from relay.local.orchestrators.stand_ins import STAND_INS

NAMES = (*STAND_INS, "temporal", "bullmq")

_LIBRARIES = {"temporal": ("temporalio", "grpc"), "bullmq": ("bullmq", "redis")}
_INSTALLED_WITH = {
    "temporal": "pip install 'sqs-relay[temporal]' grpcio",
    "bullmq": "pip install 'sqs-relay[bullmq]'",
}


def lacking(
    name: str,
    *,
    library: Callable[[str], object] = find_spec,
    program: Callable[[str], object] = shutil.which,
) -> str | None:
    """What is missing here for a stand-in of the name, and how to get it; None for nothing.

    `library` and `program` find one by its name, or None.
    """
    if any(library(needed) is None for needed in _LIBRARIES.get(name, ())):
        return f"{name} needs libraries that are not installed: {_INSTALLED_WITH[name]}"
    if name == "bullmq" and program(PROGRAM) is None:
        return (
            f"bullmq needs the program {PROGRAM}, which is not on the PATH: install Redis, on"
            " Debian and Ubuntu with apt-get install redis-server"
        )
    return None
