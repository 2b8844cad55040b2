"""Configuration and fixtures for all tests."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No test has a deadline: a busy machine must not fail one. Each run has the same examples, so that
# what fails a change is due to it; `HYPOTHESIS_RANDOM=1` and `make fuzz` look for others.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="HYPOTHESIS_RANDOM" not in os.environ,
)
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two processors, because most tests spend their time waiting."""
    return 3 * (os.cpu_count() or 1) // 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Use the scheduler that keeps tests with shared servers on one worker, in file order."""
    from tests.workers import ByFile  # noqa: PLC0415 - only where there are workers

    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection: they live as long as the run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of a moto server. Its resources outlive the test that created them."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - few tests need it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
