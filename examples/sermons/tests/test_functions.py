"""The functions, run by the SDK's own test tools without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inngest
import pytest
from inngest.experimental import mocked

from sermons.catalog import Catalog
from sermons.functions import APP, Options, Pipeline
from tests.studios import ScriptedStudio

NOW = 1_800_000_000
SERMON, VERSION = "the-lamp", "00A1"
KEY = f"uploads/{SERMON}.wav"
SUBJECT = {"sermon": SERMON, "version": VERSION, "key": KEY, "seconds": 4.0}


class Client(mocked.Inngest):
    """The SDK's mock, which also remembers what was sent."""

    def __init__(self) -> None:
        super().__init__(app_id="test")
        self.sent: list[inngest.Event] = []

    async def send(
        self, events: inngest.Event | list[inngest.Event], *, skip_middleware: bool = False
    ) -> list[str]:
        listed = events if isinstance(events, list) else [events]
        self.sent += listed
        return ["00000000000000000000000000"] * len(listed)


class Bench:
    """The functions on a catalog and a scripted studio."""

    def __init__(self, directory: Path, studio: ScriptedStudio, options: Options) -> None:
        self.client = Client()
        self.studio = studio
        self.catalog = Catalog(directory / "sermons.sqlite")
        real = inngest.Inngest(app_id=APP, is_production=False)
        pipeline = Pipeline(real, self.catalog, studio, directory, options, lambda: float(NOW))
        self.functions = {function.local_id: function for function in pipeline.functions()}
        (directory / "bucket" / "uploads").mkdir(parents=True)
        (directory / "bucket" / KEY).write_bytes(b"")

    def run(self, function: str, event: str, data: Any = SUBJECT) -> Any:
        """The result; raises what the function failed with."""
        one = inngest.Event(name=event, data=data)
        result = mocked.trigger(self.functions[function], one, self.client)
        if result.status is mocked.Status.FAILED:
            assert result.error is not None
            raise result.error
        return result.output

    @property
    def sent(self) -> list[str]:
        return [event.name for event in self.client.sent]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, ScriptedStudio(), Options(remind_after=60.0))
    yield made
    made.catalog.close()


def notification(key: str, sequencer: str = VERSION) -> dict[str, Any]:
    return {"s3": {"object": {"key": key, "sequencer": sequencer}}}


def test_a_notification_of_s3_becomes_an_upload_under_an_id_of_object_and_version(
    bench: Bench,
) -> None:
    bench.run("receive", "s3/ObjectCreated.Put", notification(KEY))
    assert [event.id for event in bench.client.sent] == [f"{SERMON}/{VERSION}/sermon/uploaded"]


@pytest.mark.parametrize("key", ["uploads/Über uns.wav", "uploads/.wav", "a/..", "x" * 200])
def test_a_name_that_would_not_be_safe_in_a_path_is_refused(bench: Bench, key: str) -> None:
    with pytest.raises(inngest.NonRetriableError, match="does not name a sermon"):
        bench.run("receive", "s3/ObjectCreated.Put", notification(key))
    assert bench.sent == []


@pytest.mark.parametrize("version", ["../x", "", None, "x" * 65])
def test_an_event_whose_version_would_not_be_safe_in_a_path_is_refused(
    bench: Bench, version: object
) -> None:
    with pytest.raises(inngest.NonRetriableError, match="names no sermon and version"):
        bench.run("transcode", "sermon/checked", {**SUBJECT, "version": version})


def test_a_key_that_leads_out_of_the_bucket_is_refused(bench: Bench) -> None:
    with pytest.raises(inngest.NonRetriableError, match="outside the bucket"):
        bench.run("check", "sermon/uploaded", {**SUBJECT, "key": "../sermons.sqlite"})


def test_a_recording_is_measured_and_starts_both_branches(bench: Bench) -> None:
    assert bench.run("check", "sermon/uploaded") == 4.0
    assert bench.sent == ["sermon/checked"]
    stored = bench.catalog.get(SERMON)
    assert stored is not None
    assert stored.seconds == 4.0


def test_what_is_no_recording_goes_no_further(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "bucket" / KEY).unlink()
    with pytest.raises(inngest.NonRetriableError, match="not audio"):
        bench.run("check", "sermon/uploaded")
    assert bench.sent == []


def test_a_long_recording_is_transcribed_in_pieces_of_which_each_is_a_checkpoint(
    bench: Bench,
) -> None:
    bench.catalog.add(SERMON, VERSION)
    bench.studio.failing = 1
    text = bench.run("transcribe", "sermon/checked", {**SUBJECT, "seconds": 61.0})
    assert text == "words at 0 words at 30 words at 60"
    assert bench.studio.calls == {"recognise 0": 2, "recognise 30": 1, "recognise 60": 1}


def test_a_piece_that_fails_for_good_leaves_no_transcript(bench: Bench) -> None:
    bench.catalog.add(SERMON, VERSION)
    bench.studio.failing = 100
    with pytest.raises(MemoryError):
        bench.run("transcribe", "sermon/checked")
    stored = bench.catalog.get(SERMON)
    assert stored is not None
    assert stored.transcript is None


def test_only_the_later_branch_publishes(bench: Bench) -> None:
    bench.catalog.add(SERMON, VERSION)
    bench.run("transcode", "sermon/checked")
    assert bench.run("publish", "sermon/transcoded") is False
    bench.run("transcribe", "sermon/checked")
    bench.run("embed", "sermon/transcribed")
    assert bench.run("publish", "sermon/embedded") is True
    assert bench.sent.count("sermon/published") == 1


def test_two_branches_that_end_together_send_the_same_event(bench: Bench) -> None:
    bench.catalog.add(SERMON, VERSION)
    for function, event in (
        ("transcode", "sermon/checked"),
        ("transcribe", "sermon/checked"),
        ("embed", "sermon/transcribed"),
        ("publish", "sermon/transcoded"),
        ("publish", "sermon/embedded"),
    ):
        bench.run(function, event)
    published = {event.id for event in bench.client.sent if event.name == "sermon/published"}
    assert published == {f"{SERMON}/{VERSION}/sermon/published"}


def test_a_sermon_is_announced_once_and_its_reminder_is_delayed(bench: Bench) -> None:
    bench.catalog.add(SERMON, VERSION)
    bench.run("notify", "sermon/published")
    bench.run("notify", "sermon/published")
    assert bench.catalog.effects()[SERMON, "announced"] == 1
    assert {event.ts for event in bench.client.sent} == {(NOW + 60) * 1000}


def test_a_step_of_an_older_upload_changes_nothing_of_the_newer_one(bench: Bench) -> None:
    bench.catalog.add(SERMON, "00A2")
    bench.run("transcode", "sermon/checked")
    stored = bench.catalog.get(SERMON)
    assert stored is not None
    assert (stored.version, stored.chunks) == ("00A2", 0)


def test_the_report_counts_the_sermons_by_state(bench: Bench) -> None:
    bench.catalog.add(SERMON, VERSION)
    assert bench.run("report", "sermons/report.requested") == {"uploaded": 1}
    assert list(bench.catalog.reports()) == ["2027-01-15"]


def test_all_heavy_functions_share_one_limit(bench: Bench) -> None:
    for name in ("transcode", "transcribe", "embed"):
        config: Any = bench.functions[name].get_config("http://localhost").main.to_dict()
        assert config["concurrency"] == [{"key": '"cpu"', "limit": 2, "scope": "env"}]
        # A run that waits long for its turn must not be cancelled.
        assert config["timeouts"] is None


def test_the_report_runs_every_morning(bench: Bench) -> None:
    triggers = bench.functions["report"].get_config("http://localhost").main.triggers
    assert isinstance(triggers[0], inngest.TriggerCron)
    assert triggers[0].cron == "0 6 * * *"
