"""BullMQ: adds one job for each event, whose id is the hash of the event's id.

BullMQ deduplicates a job id for as long as Redis holds the job, so the retention of finished jobs
is the dedup window. It is set on each job, which overrides the worker's own setting. Redis must not
evict keys.
"""

from __future__ import annotations

import importlib
import json
import logging
from types import TracebackType
from typing import Any, Self

from relay.destinations.http_errors import connection_error
from relay.destinations.single_event import Content, content, hashed_id
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import REFUSED, Delivered, Outcome, Reject
from relay.model.traits import Traits

URL = "RELAY_BULLMQ_URL"
PREFIX = "RELAY_BULLMQ_PREFIX"
NO_EVICTION = "noeviction"

_CONNECTING = " connecting to "
"""Part of the client's error message for a connection that failed (observed)."""

_NO_JOBS = "Redis accepts no jobs"
_REFUSALS: tuple[tuple[tuple[str, ...], str | None, str], ...] = (
    (
        ("AuthenticationError", "NoPermissionError"),
        URL,
        "Redis refuses the user, the password or a permission",
    ),
    (("ClusterCrossSlotError",), PREFIX, "a Redis cluster needs a prefix in braces, {bull}"),
    (("MovedError", "AskError"), URL, "another node of the Redis cluster has the queue"),
    (("OutOfMemoryError", "ReadOnlyError"), None, _NO_JOBS),
    (("BusyLoadingError", "MasterDownError", "ClusterDownError"), None, _NO_JOBS),
)
"""The client's exceptions for a refused job, the setting to check, and our message."""

_NO_WRITES = ("NOREPLICAS", "MISCONF", "BUSY ")
"""Codes of a server that refuses every write, which the client has no exceptions for."""

_NO_DATABASE = "DB index is out of range"

_log = logging.getLogger(__name__)


def traits(job_retention: float) -> Traits:
    """The traits of a queue whose finished jobs are kept for this many seconds."""
    return Traits(
        name="BullMQ",
        recognised_by="the job's id" if job_retention else None,
        dedup_window=job_retention,
        # Even with an append-only file, Redis syncs it to disk only once a second.
        durable=False,
        event_bytes=16_777_216,
    )


class BullMQ:
    """Adds jobs to one queue; an async context manager that owns its connections.

    Args:
        url: of Redis, `redis://` or `rediss://`, with user and password if it needs them.
        queue: the queue's name.
        prefix: the prefix of its keys, the same as its workers'.
        attempts: how many times a worker tries a job.
        job_retention: seconds for which finished jobs are kept.
        what: the whole event as the job's data, or its data only.
        timeout: seconds for one command.
        in_flight: the most connections.
        ca_file: the file with the CA certificate of the server, PEM; None for the system's.
    """

    def __init__(  # noqa: PLR0913 - what one queue consists of
        self,
        url: str,
        queue: str,
        *,
        prefix: str = "bull",
        attempts: int = 1,
        job_retention: float = 1_209_600.0,
        what: Content = "event",
        timeout: float = 30.0,
        in_flight: int = 16,
        ca_file: str | None = None,
    ) -> None:
        self._errors = importlib.import_module("redis.exceptions")
        self._redis = _client(url, timeout, in_flight, ca_file)
        library = importlib.import_module("bullmq")
        self._queue: Any = library.Queue(queue, {"connection": self._redis, "prefix": prefix})
        remove = {"age": int(job_retention)} if job_retention else True
        self._options = {"attempts": attempts, "removeOnComplete": remove, "removeOnFail": remove}
        self._what = what
        self._traits = traits(job_retention)
        self._checked = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._redis.aclose()

    @property
    def traits(self) -> Traits:
        """The queue's traits."""
        return self._traits

    def payload(self, event: Event) -> bytes:
        """The job's data."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Add one job; `Delivered.reference` is its id. BullMQ does not report duplicates."""
        try:
            data = json.loads(payload)
            json.dumps(data, allow_nan=False)
        except (ValueError, RecursionError):
            return Reject(REFUSED, "the event's data holds a value that BullMQ's JSON cannot hold")
        options = {**self._options, "jobId": hashed_id(event.id)}
        if event.ts is not None:
            options["timestamp"] = event.ts
        try:
            await self._warn_once()
            job = await self._queue.add(event.name, data, options)
        except self._errors.RedisError as error:
            raise self._unavailable(error) from None
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot be reached: {type(error).__name__}") from None
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise Unavailable(f"Redis answers what it never does: {type(error).__name__}") from None
        return Delivered(str(job.id))

    async def _warn_once(self) -> None:
        """Warn of Redis settings under which it can lose or repeat jobs."""
        if self._checked:
            return
        self._checked = True  # at once, or each of the first concurrent starts would warn
        try:
            await self._check()
        except BaseException:
            self._checked = False
            raise

    async def _check(self) -> None:
        memory = await self._redis.info("memory")
        policy = memory.get("maxmemory_policy", NO_EVICTION)
        if policy != NO_EVICTION:
            _log.warning(
                "Redis may evict jobs (maxmemory-policy %s), and an evicted job's event is lost or"
                " runs twice: set it to %s",
                policy,
                NO_EVICTION,
            )
        persistence = await self._redis.info("persistence")
        if not int(persistence.get("aof_enabled", 0)):
            _log.warning(
                "Redis has no append-only file, so it loses accepted jobs when it crashes: set"
                " appendonly yes"
            )

    def _unavailable(self, error: Exception) -> Unavailable:
        message = str(error)
        for names, setting, meaning in _REFUSALS:
            if any(isinstance(error, getattr(self._errors, name)) for name in names):
                return _refused(f"{meaning}: {message}", setting)
        if _NO_DATABASE in message:
            return _refused(f"Redis does not have this database: {message}", URL)
        if message.startswith(_NO_WRITES):
            return _refused(f"{_NO_JOBS}: {message}", None)
        if isinstance(error, self._errors.ConnectionError | self._errors.TimeoutError):
            self._checked = False
            if _CONNECTING in message:
                return connection_error(error, "Redis", URL)
            return Unavailable(f"Redis gives no answer: {type(error).__name__}", proven=True)
        return Unavailable(f"Redis answers {message[:200]}")


def _refused(sentence: str, setting: str | None) -> Unavailable:
    return Unavailable(sentence, setting=setting, proven=True, not_accepted=True)


def _client(url: str, timeout: float, in_flight: int, ca_file: str | None) -> Any:
    redis = importlib.import_module("redis.asyncio")
    retry = importlib.import_module("redis.asyncio.retry")
    backoff = importlib.import_module("redis.backoff")
    pool = redis.BlockingConnectionPool.from_url(
        url,
        decode_responses=True,
        max_connections=in_flight,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=min(5.0, timeout),
        # Only the forwarder retries: nested retries would multiply.
        retry=retry.Retry(backoff.NoBackoff(), 0),
        **({"ssl_ca_certs": ca_file} if ca_file and url.startswith("rediss:") else {}),
    )
    return redis.Redis.from_pool(pool)
