"""What worker processes tell the reporter, which speaks for all of them, and how it is sent.

Each message is one packet of a socket that all workers and the supervisor write to. A worker sends
its counts every second. What does not fit the socket now is part of the next report.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from relay.model.facts import (
    CircuitChanged,
    LedgerChanged,
    PauseChanged,
    ReceivingChanged,
    RejectGuardChanged,
    StuckChanged,
)
from relay.supervisor.supervisor import Ended, Started
from relay.telemetry.log_writer import OutputLock
from relay.telemetry.report import Report, SinkError, State, Window

REPORT_SECONDS = 1.0
"""Seconds between two reports of a worker: how old `/ready` and the metrics may be."""

MAX_PACKET = 262_144
"""Bytes of a message. A report has at most four histograms of 1,500 buckets, 100 KB."""

Condition: TypeAlias = (
    CircuitChanged
    | ReceivingChanged
    | StuckChanged
    | PauseChanged
    | LedgerChanged
    | RejectGuardChanged
)
"""A fact that concerns the whole relay, and that every worker finds out for itself."""

CONDITIONS: Mapping[str, type[Condition]] = {
    kind.__name__: kind
    for kind in (
        CircuitChanged,
        ReceivingChanged,
        StuckChanged,
        PauseChanged,
        LedgerChanged,
        RejectGuardChanged,
    )
}


class WorkerReport(Struct, frozen=True, kw_only=True, tag=True):
    """The counts of a worker since its last report, its state, and its answer to `/ready`."""

    worker: int
    pid: int
    counters: dict[tuple[str, str], int]
    histograms: dict[str, dict[float, int]]
    state: State
    ready: bool
    details: dict[str, Any]

    @property
    def window(self) -> Window:
        """The counts."""
        window = Window()
        window.counters.update(self.counters)
        for name, counts in self.histograms.items():
            window.histograms[name].update(counts)
        return window


class ConditionReport(Struct, frozen=True, kw_only=True, tag=True):
    """A fact that a worker found out about the whole relay. `kind` is one of `CONDITIONS`."""

    worker: int
    kind: str
    fact: msgspec.Raw

    @property
    def condition(self) -> Condition:
        """The fact."""
        return msgspec.msgpack.decode(self.fact, type=CONDITIONS[self.kind])


Packet: TypeAlias = WorkerReport | ConditionReport | Started | Ended

_decoder = msgspec.msgpack.Decoder(WorkerReport | ConditionReport | Started | Ended)
_encode = msgspec.msgpack.Encoder().encode


class ReportSocket:
    """The connection on which workers and supervisor report. Create it before they are forked.

    The reporter calls `close_writing`, a worker `close_reading`. When nobody can write any more,
    the reporter reads to the end.
    """

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._reading.fileno()

    def close_reading(self) -> None:
        """In a process that only writes."""
        self._reading.close()

    def close_writing(self) -> None:
        """In a process that only reads, or has written its last."""
        self._writing.close()

    def close(self) -> None:
        """Close both ends."""
        self.close_reading()
        self.close_writing()

    def send(self, packet: Packet) -> bool:
        """Send without waiting; False if the socket is full, or nobody reads."""
        try:
            self._writing.send(_encode(packet))
        except OSError:
            return False
        return True

    def read(self) -> Iterator[Packet | None]:
        """The packets that are there, and None at the end, when nobody can write any more."""
        while True:
            try:
                data = self._reading.recv(MAX_PACKET)
            except BlockingIOError:
                return
            yield _decoder.decode(data) if data else None
            if not data:
                return


class WorkerSink:
    """The sink of a worker: sends its counts to the reporter, with its state.

    Args:
        reports: where to.
        worker: the worker's number.

    Attributes:
        worker: the worker's number.
        state: returns the worker's state.
        ready: returns its answer to `/ready`.
    """

    def __init__(self, reports: ReportSocket, worker: int) -> None:
        self._reports = reports
        self.worker = worker
        self.state: Callable[[], State] = State
        self.ready: Callable[[], tuple[bool, Mapping[str, Any]]] = lambda: (False, {})

    async def put(self, report: Report) -> None:
        """Send the report.

        Raises:
            SinkError: the reporter does not read. The next report contains this one.
        """
        ready, details = self.ready()
        packet = WorkerReport(
            worker=self.worker,
            pid=os.getpid(),
            counters=dict(report.window.counters),
            histograms={name: dict(found) for name, found in report.window.histograms.items()},
            state=self.state(),
            ready=ready,
            details=dict(details),
        )
        if not self._reports.send(packet):
            raise SinkError("the process that collects them does not read")

    def tell(self, condition: Condition) -> None:
        """Send a fact about the whole relay. It is lost if the reporter does not read."""
        kind = type(condition).__name__
        fact = msgspec.Raw(_encode(condition))
        self._reports.send(ConditionReport(worker=self.worker, kind=kind, fact=fact))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfSeveral:
    """A process of a relay that runs as several.

    Attributes:
        lock: for the outputs that they share.
        sink: of a worker: where its metrics go, and what concerns the whole relay. None for the
            reporter, which sends the metrics of all.
        running: for the reporter: whether a worker runs.
    """

    lock: OutputLock
    sink: WorkerSink | None = None
    running: Callable[[], bool] = lambda: False
