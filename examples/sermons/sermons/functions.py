"""The functions that Inngest runs. Each is durable: a finished step is never done again.

```
s3/ObjectCreated.Put ─► receive ─► sermon/uploaded ─► check ─► sermon/checked
                                                                 │        │
                                             transcode ◄─────────┘        └────────► transcribe
                                                 │                                       │
                                        sermon/transcoded       embed ◄── sermon/transcribed
                                                 │                │
                                                 │          sermon/embedded
                                                 └──► publish ◄───┘
                                                         │
                               sermon/published ─► notify ─► sermon/reminder.due (later) ─► remind
```

Every event has an id made of the sermon, the version of its upload and the event's name. Whatever
is sent twice (S3 notifies twice, a step dies after its send) therefore runs once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import inngest

from sermons import events, tracing
from sermons.catalog import Catalog
from sermons.media import NotAudio
from sermons.studio import Studio, pieces

APP = "sermons"

CPU = '"cpu"'
"""The key of the limit that all heavy functions share: it counts processors, not functions."""

_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the functions are set up.

    Attributes:
        processors: how many heavy steps may run at once, over all functions and instances.
        piece: seconds of a recording that one step transcribes; a piece is a checkpoint.
        remind_after: seconds between the announcement and the reminder.
    """

    processors: int = 2
    piece: float = 30.0
    remind_after: float = 7 * 24 * 3600.0


class Pipeline:
    """The functions with what they work on.

    Args:
        client: registers the functions.
        catalog: stores the results.
        studio: does the heavy work.
        media: the directory with the uploaded `bucket` and the `streams` made from it.
        now: the time in seconds since the epoch.
    """

    def __init__(
        self,
        client: inngest.Inngest,
        catalog: Catalog,
        studio: Studio,
        media: Path,
        options: Options,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._studio = studio
        self._media = media
        self._options = options
        self._now = now

    def functions(self) -> list[inngest.Function[Any]]:
        """All functions, to be served by the application."""
        # No `timeouts`: they count the time in which a run waits for its turn, and cancel it.
        limit = inngest.Concurrency(limit=self._options.processors, key=CPU, scope="env")
        heavy: dict[str, Any] = {"concurrency": [limit]}
        return [
            self._function(
                "receive",
                self._receive,
                "s3/ObjectCreated.Put",
                "s3/ObjectCreated.CompleteMultipartUpload",
            ),
            self._function("check", self._check, "sermon/uploaded"),
            self._function("transcode", self._transcode, "sermon/checked", **heavy),
            self._function("transcribe", self._transcribe, "sermon/checked", **heavy),
            self._function("embed", self._embed, "sermon/transcribed", **heavy),
            self._function("publish", self._publish, "sermon/transcoded", "sermon/embedded"),
            self._function("notify", self._notify, "sermon/published"),
            self._function("remind", self._remind, "sermon/reminder.due"),
            self._client.create_function(
                fn_id="report",
                retries=_ATTEMPTS,
                trigger=[
                    inngest.TriggerCron(cron="0 6 * * *"),
                    inngest.TriggerEvent(event="sermons/report.requested"),
                ],
            )(tracing.traced("report", self._report)),
        ]

    def stream(self, sermon: str, version: str) -> Path:
        """The directory with the chunks of a version."""
        return self._media / "streams" / sermon / version

    def _function(
        self, name: str, handler: Callable[[inngest.Context], Any], *started_by: str, **options: Any
    ) -> inngest.Function[Any]:
        return self._client.create_function(
            fn_id=name,
            retries=_ATTEMPTS,
            on_failure=self._failed,
            trigger=[inngest.TriggerEvent(event=event) for event in started_by],
            **options,
        )(tracing.traced(name, handler))

    async def _receive(self, ctx: inngest.Context) -> str:
        """Turn S3's notification into the event that the rest of the pipeline knows."""
        upload = ctx.event.data["s3"]
        key = unquote_plus(upload["object"]["key"])  # type: ignore[index,call-overload]
        version = upload["object"]["sequencer"]  # type: ignore[index,call-overload]
        sermon = Path(key).stem
        if not events.names(sermon, version):
            raise inngest.NonRetriableError(f"{key!r} does not name a sermon: use a-z, 0-9 and -")
        uploaded = events.event("sermon/uploaded", sermon, version, key=key)
        await ctx.step.send_event("tell", uploaded)
        return sermon

    async def _check(self, ctx: inngest.Context) -> float:
        """Fetch the metadata, and go on only with what is audio."""
        sermon, version = events.subject(ctx.event)
        key = str(ctx.event.data["key"])

        async def measure() -> float:
            self._catalog.add(sermon, version)
            try:
                seconds = await self._studio.measure(self._source(key))
            except NotAudio as error:
                raise inngest.NonRetriableError(str(error)) from error
            self._catalog.measured(sermon, version, seconds)
            return seconds

        seconds = await ctx.step.run("measure", measure)
        checked = events.event("sermon/checked", sermon, version, key=key, seconds=seconds)
        await ctx.step.send_event("tell", checked)
        return seconds

    async def _transcode(self, ctx: inngest.Context) -> int:
        """Make the stream."""
        sermon, version = events.subject(ctx.event)
        source = self._source(str(ctx.event.data["key"]))

        async def transcode() -> int:
            chunks = await self._studio.transcode(source, self.stream(sermon, version))
            self._catalog.transcoded(sermon, version, chunks)
            return chunks

        chunks = await ctx.step.run("transcode", transcode)
        await ctx.step.send_event("tell", events.event("sermon/transcoded", sermon, version))
        return chunks

    async def _transcribe(self, ctx: inngest.Context) -> str:
        """Write down what is said, a step for each piece: an interruption costs one piece."""
        sermon, version = events.subject(ctx.event)
        source = self._source(str(ctx.event.data["key"]))
        length = self._options.piece
        texts = [
            await ctx.step.run(f"recognise-{number}", self._studio.recognise, source, start, length)
            for number, start in enumerate(pieces(float(ctx.event.data["seconds"]), length))  # type: ignore[arg-type]
        ]
        transcript = " ".join(filter(None, texts))

        async def store() -> None:
            self._catalog.transcribed(sermon, version, transcript)

        await ctx.step.run("store", store)
        await ctx.step.send_event("tell", events.event("sermon/transcribed", sermon, version))
        return transcript

    async def _embed(self, ctx: inngest.Context) -> None:
        """Make the sermon searchable. Its transcript is in the catalog, not in the event."""
        sermon, version = events.subject(ctx.event)

        async def embed() -> None:
            stored = self._catalog.get(sermon)
            if stored is not None and stored.version == version:
                words = f"{stored.title}. {stored.transcript}"
                self._catalog.embedded(sermon, version, await self._studio.embed(words))

        await ctx.step.run("embed", embed)
        await ctx.step.send_event("tell", events.event("sermon/embedded", sermon, version))

    async def _publish(self, ctx: inngest.Context) -> bool:
        """Both branches end here. The later one finds the sermon complete.

        If both do, both send the same event: its id makes it one.
        """
        sermon, version = events.subject(ctx.event)

        async def complete() -> bool:
            stored = self._catalog.get(sermon)
            return stored is not None and stored.version == version and stored.complete

        is_complete = await ctx.step.run("is it complete", complete)
        if is_complete:
            await ctx.step.send_event("tell", events.event("sermon/published", sermon, version))
        return is_complete

    async def _notify(self, ctx: inngest.Context) -> None:
        """Announce the sermon, and send the event that comes back when a reminder is due."""
        sermon, version = events.subject(ctx.event)

        async def announce() -> int:
            now = int(self._now())
            self._catalog.announce(sermon, version, now)
            return now

        announced_at = await ctx.step.run("announce", announce)
        reminder = events.event("sermon/reminder.due", sermon, version)
        reminder.ts = int((announced_at + self._options.remind_after) * 1000)
        await ctx.step.send_event("remind later", reminder)

    async def _remind(self, ctx: inngest.Context) -> None:
        """Remind of a sermon, some time after its announcement."""
        sermon, version = events.subject(ctx.event)

        async def remind() -> None:
            self._catalog.remind(sermon, version, int(self._now()))

        await ctx.step.run("remind", remind)

    async def _report(self, ctx: inngest.Context) -> dict[str, int]:
        """Count the sermons by state, every morning and on request."""
        day = datetime.fromtimestamp(self._now(), UTC).date().isoformat()

        async def count() -> dict[str, int]:
            return self._catalog.report(day)

        return await ctx.step.run("count", count)

    async def _failed(self, ctx: inngest.Context) -> None:
        """A function gave up: the page shows why."""
        event: Any = ctx.event.data["event"]
        error: Any = ctx.event.data["error"]
        sermon, version = event["data"].get("sermon"), event["data"].get("version")

        async def record() -> None:
            if sermon and version:
                self._catalog.failed(sermon, version, str(error["message"]))

        await ctx.step.run("record", record)

    def _source(self, key: str) -> Path:
        """The uploaded file. A key with `..` cannot lead out of the bucket."""
        bucket = (self._media / "bucket").resolve()
        path = (bucket / key).resolve()
        if not path.is_relative_to(bucket):
            raise inngest.NonRetriableError(f"{key!r} is outside the bucket")
        return path
