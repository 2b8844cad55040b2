"""BullMQ: one job for each event, whose id is the event's hash.

A job id is known again for as long as Redis holds the job: how long finished jobs are kept is the
window, and is said with each job, which wins over the worker's own setting. Redis must not evict.
"""

from __future__ import annotations

import importlib
import json
import logging
from types import TracebackType
from typing import Any, Self

from relay.destinations.http_errors import unconnected
from relay.destinations.single_event import REFUSED, Content, content, hashed
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from relay.model.traits import Traits

URL = "RELAY_BULLMQ_URL"
NO_EVICTION = "noeviction"

_CONNECTING = " connecting to "
"""In the client's words for a connection that it could not make (observed)."""

_log = logging.getLogger(__name__)


def traits(kept: float) -> Traits:
    """What a queue promises whose finished jobs are kept for so many seconds."""
    return Traits(
        name="BullMQ",
        recognised_by="the job's id" if kept else None,
        dedup_window=kept,
        # Even with an append-only file Redis writes it once a second.
        durable=False,
        event_bytes=16_777_216,
    )


class BullMQ:
    """Adds jobs to one queue; an async context manager that owns its connections.

    Args:
        url: Redis's, `redis://` or `rediss://`, with user and password if it needs them.
        queue: the queue's name.
        prefix: of its keys, as its workers have it.
        attempts: how often a worker tries a job.
        kept: seconds for which finished jobs are kept.
        what: the whole event as the job's data, or its data only.
        timeout: seconds for one command.
        in_flight: most connections.
    """

    def __init__(
        self,
        url: str,
        queue: str,
        *,
        prefix: str = "bull",
        attempts: int = 1,
        kept: float = 1_209_600.0,
        what: Content = "event",
        timeout: float = 30.0,
        in_flight: int = 16,
    ) -> None:
        self._errors = importlib.import_module("redis.exceptions")
        self._redis = _client(url, timeout, in_flight)
        library = importlib.import_module("bullmq")
        self._queue: Any = library.Queue(queue, {"connection": self._redis, "prefix": prefix})
        keep = {"age": int(kept)} if kept else True
        self._options = {"attempts": attempts, "removeOnComplete": keep, "removeOnFail": keep}
        self._what = what
        self._traits = traits(kept)
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
        """What the queue promises."""
        return self._traits

    def payload(self, event: Event) -> bytes:
        """The job's data."""
        return content(event, self._what)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One job; `Delivered.reference` is its id. A duplicate cannot be told from the first."""
        try:
            data = json.loads(payload)
            json.dumps(data, allow_nan=False)
        except (ValueError, RecursionError):
            return Reject(REFUSED, "the event's data holds what BullMQ's JSON cannot")
        options = {**self._options, "jobId": hashed(event.id)}
        if event.ts is not None:
            options["timestamp"] = event.ts
        try:
            await self._check()
            job = await self._queue.add(event.name, data, options)
        except self._errors.RedisError as error:
            raise self._unavailable(error) from None
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot be reached: {type(error).__name__}") from None
        return Delivered(str(job.id))

    async def _check(self) -> None:
        """Say once what defeats the promise on Redis's side."""
        if self._checked:
            return
        found = await self._redis.info("memory")
        policy = found.get("maxmemory_policy", NO_EVICTION)
        if policy != NO_EVICTION:
            _log.warning(
                "Redis may evict jobs (maxmemory-policy %s), and an evicted job's event is lost or"
                " runs twice: set it to %s",
                policy,
                NO_EVICTION,
            )
        kept = await self._redis.info("persistence")
        if not int(kept.get("aof_enabled", 0)):
            _log.warning(
                "Redis has no append-only file, so a crash of it loses jobs that it had accepted:"
                " set appendonly yes"
            )
        self._checked = True

    def _unavailable(self, error: Exception) -> Unavailable:
        errors = self._errors
        if isinstance(error, errors.AuthenticationError | errors.NoPermissionError):
            return Unavailable(
                f"Redis refuses the user or password, or what it may do: {error}",
                setting=URL,
                proven=True,
                not_accepted=True,
            )
        full = isinstance(error, errors.OutOfMemoryError | errors.ReadOnlyError)
        if full or isinstance(error, errors.BusyLoadingError | errors.MasterDownError):
            return Unavailable(f"Redis takes nothing: {error}", proven=True, not_accepted=True)
        if isinstance(error, errors.ConnectionError | errors.TimeoutError):
            self._checked = False
            if _CONNECTING in str(error):
                return unconnected(error, "Redis", URL)
            return Unavailable(f"Redis gives no answer: {type(error).__name__}", proven=True)
        return Unavailable(f"Redis answers {str(error)[:200]}")


def _client(url: str, timeout: float, in_flight: int) -> Any:
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
        # Tries are the forwarder's: a retry inside a retry multiplies.
        retry=retry.Retry(backoff.NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)
