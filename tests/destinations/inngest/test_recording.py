"""What a real server answered, read by the code that reads such answers (tests/recordings)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relay.destinations.inngest.answers import Answer, interpret, server_kind
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.queries import InngestQueries
from relay.destinations.inngest.read_back import ReadBack
from relay.model.destination import BatchRefused, Unavailable
from relay.model.outcome import REFUSED, TOO_LARGE, Delivered, Outcome, Reject
from tests.destinations.inngest.rig import Keys, confirmed, event
from tests.destinations.wire import http, listening

RECORDING = Path(__file__).parents[2] / "recordings" / "inngest-1.43.jsonl"
URL = "RELAY_INNGEST_URL"


@dataclass(frozen=True)
class Exchange:
    """One recorded request with its answer."""

    server: str
    group: str
    about: str
    method: str
    path: str
    sent: Any
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def text(self) -> str:
        if self.body is None or isinstance(self.body, str):
            return self.body or ""
        return json.dumps(self.body) + "\n"

    @property
    def answer(self) -> Answer:
        return Answer(self.status, self.text, self.headers)

    @property
    def wire(self) -> bytes:
        names = {name.replace("-", "_"): value for name, value in self.headers.items()}
        return http(self.status, self.text, **names)

    @property
    def fields(self) -> Mapping[str, Any]:
        return self.body if isinstance(self.body, dict) else {}

    @property
    def ids(self) -> list[str]:
        """The ids told, of which a long list holds the first and the last only."""
        ids = self.fields.get("ids", [])
        if isinstance(ids, dict):
            told = ids["count"] - ids["empty"]
            return [ids["first"]] * (told - 1) + [ids["last"]] + [""] * ids["empty"]
        return list(ids)

    @property
    def events_sent(self) -> int:
        """How many events the body holds that the sender meant to send."""
        if isinstance(self.sent, dict):
            return int(self.sent["times"]) if self.sent.get("join") == "," else 1
        try:
            body = json.loads(self.sent)
        except ValueError:
            return str(self.sent).count('"name"') or 1
        return len(body) if isinstance(body, list) else 1


def _exchanges() -> Iterator[Exchange]:
    # Not `splitlines`: the data holds other line separators.
    for line in RECORDING.read_text(encoding="utf-8").strip().split("\n"):
        one = json.loads(line)
        request, response = one["request"], one["response"]
        yield Exchange(
            one["server"],
            one["group"],
            one["about"],
            request["method"],
            request["path"],
            request.get("body"),
            response["status"],
            response["headers"],
            response["body"],
        )


ALL = list(_exchanges())
SENT = [one for one in ALL if one.method == "POST" and one.path.startswith("/e")]
GETS = [one for one in ALL if one.method == "GET"]
SINGLES = [
    one
    for one in GETS
    if one.path.startswith("/v1/events/") and "/" not in one.path.removeprefix("/v1/events/")
]
LISTS = [one for one in GETS if urlsplit(one.path).path == "/v1/events"]


def _name(one: Exchange) -> str:
    return f"{one.server}-{one.group}-{one.about}".replace(" ", "_")


def _each(exchanges: list[Exchange]) -> pytest.MarkDecorator:
    assert exchanges
    return pytest.mark.parametrize("one", exchanges, ids=_name)


def about(server: str, text: str) -> Exchange:
    (found,) = [one for one in ALL if one.server == server and one.about == text]
    return found


def _outcomes(one: Exchange) -> list[Outcome]:
    ids = json.loads(one.text) | {"ids": one.ids} if one.ids else one.body
    text = ids if isinstance(ids, str) else json.dumps(ids)
    return list(interpret(Answer(one.status, text, one.headers), one.events_sent, 0.0))


def test_the_recording_is_complete() -> None:
    assert (len(ALL), len(SENT), len(SINGLES), len(LISTS)) == (387, 179, 39, 63)


@_each([one for one in SENT if one.status == 200 and one.ids and all(one.ids)])
def test_an_answer_with_an_id_for_each_event_is_a_success(one: Exchange) -> None:
    # What was cut off after an event is accepted too, but the relay never sends such a body.
    outcomes = _outcomes(one)
    assert outcomes == [Delivered(internal_id) for internal_id in one.ids]


@_each([one for one in SENT if one.status in (200, 303) and not (one.ids and all(one.ids))])
def test_a_200_that_stored_nothing_and_a_redirect_halt_for_the_url(one: Exchange) -> None:
    with pytest.raises(Unavailable) as caught:
        _outcomes(one)
    assert caught.value.setting == URL


@_each([one for one in SENT if one.status == 401])
def test_a_wrong_key_halts_at_once_and_nothing_was_accepted(one: Exchange) -> None:
    with pytest.raises(Unavailable) as caught:
        _outcomes(one)
    error = caught.value
    assert (error.setting, error.proven) == ("RELAY_INNGEST_EVENT_KEY", True)
    assert error.not_accepted


@_each([one for one in ALL if one.path == "/e/anykey" and one.status == 405])
def test_another_method_is_not_accepted(one: Exchange) -> None:
    with pytest.raises(Unavailable) as caught:
        interpret(one.answer, 1, 0.0)
    assert (caught.value.setting, caught.value.not_accepted) == (URL, True)


@_each([one for one in SENT if one.status == 400 and one.events_sent == 1])
def test_a_400_rejects_a_single_event_only_for_what_is_in_it(one: Exchange) -> None:
    # These bodies are answered as an event without a name, or with a list as its data, would be.
    alike = ("empty object", "array of null", "a form: its values are lists")
    if one.group not in ("events.field", "events.size") and one.about not in alike:
        # The body is not what the relay sends, so some part on the way changed it.
        with pytest.raises(Unavailable):
            _outcomes(one)
        return
    (outcome,) = _outcomes(one)
    assert isinstance(outcome, Reject)
    assert outcome.code == (TOO_LARGE if "max size" in one.fields["error"] else REFUSED)


@_each([one for one in SENT if one.status == 400 and one.events_sent > 1])
def test_a_400_for_several_points_at_the_event_after_those_that_are_stored(one: Exchange) -> None:
    with pytest.raises(BatchRefused) as caught:
        _outcomes(one)
    told = sum(bool(each) for each in one.ids)
    broken = one.group == "events.body" or "syntax error" in one.about
    # Where the body broke as JSON, the event before the break may be stored and not told.
    assert caught.value.suspect == (None if broken else told)
    assert not caught.value.not_accepted


@_each(SINGLES)
async def test_one_event_is_stored_exactly_if_its_data_was_answered(one: Exchange) -> None:
    internal_id = one.path.removeprefix("/v1/events/")
    async with listening(one.wire) as wire, ReadBack(wire.url, Keys().read) as reading:
        if one.status == 401:
            with pytest.raises(Unavailable) as caught:
                await reading.is_stored(internal_id)
            assert (caught.value.setting, caught.value.proven) == (
                "RELAY_INNGEST_SIGNING_KEY",
                True,
            )
        elif one.fields.get("status") in (None, 404):
            assert await reading.is_stored(internal_id) == (one.fields["data"] is not None)
            assert reading.server_kind == one.server
        else:
            with pytest.raises(Unavailable) as caught:
                await reading.is_stored(internal_id)
            assert not caught.value.not_accepted


@_each(LISTS)
async def test_a_list_has_the_events_that_were_answered(one: Exchange) -> None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(one.path).query).items()}
    async with listening(one.wire) as wire, ReadBack(wire.url, Keys().read) as reading:
        if "error" in one.fields or one.status != 200:
            with pytest.raises(Unavailable) as caught:
                await reading.page(0.0, name=query.get("name", ""))
            denied = one.status == 401
            assert caught.value.setting == ("RELAY_INNGEST_SIGNING_KEY" if denied else None)
            return
        page = await reading.page(0.0, name=query.get("name", ""))
        assert [(each.internal_id, each.id, each.name) for each in page] == [
            (each["internal_id"], each["id"], each["name"]) for each in one.fields["data"]
        ]
        ((line, _, _),) = wire.requests
        # Without it only the last hour is listed, and a local time is compared as text.
        assert "received_after=1970-01-01T00%3A00%3A00.000Z" in line


@_each(GETS)
async def test_queries_give_each_answer_as_it_was(one: Exchange) -> None:
    async with listening(one.wire) as wire, InngestQueries(wire.url) as queries:
        answer = await queries.get(one.path)
    assert (answer.status, answer.fields) == (one.status, one.fields)
    error = one.fields.get("error")
    assert answer.error == (error if isinstance(error, str) else "")
    assert server_kind(answer.headers) == one.server


@pytest.mark.parametrize("server", ["dev", "start"])
async def test_confirm_mode_waits_until_the_event_is_found(server: str) -> None:
    accepted = about(server, "an event to read back")
    later = [about(server, text) for text in ("not yet stored", "found")]
    answers = [accepted, later[0], later[0], later[1]]
    async with listening() as wire:

        async def behave(*_: Any) -> None:
            reader, writer = _[1], _[2]
            while answers:
                await wire.read(reader)
                writer.write(answers.pop(0).wire)
                await writer.drain()

        wire.behave = behave
        async with confirmed(wire.url) as destination:
            outcomes = await destination.send([event("rec-back-1")])
    assert outcomes == [Delivered(accepted.ids[0])]
    assert not answers


@pytest.mark.parametrize("server", ["dev", "start"])
async def test_events_that_a_page_shows_are_confirmed(server: str) -> None:
    names = [about(server, f"event {n} of three").ids[0] for n in (1, 2, 3)]
    page = about(server, "by name: newest ULID first")
    async with (
        listening(page.wire) as wire,
        ReadBack(wire.url, Keys().read) as reading,
        Confirmations(reading, deadline=20) as confirmations,
    ):
        lookup = await confirmations.stored(names, 300, sent_at=0.0)
    assert (set(lookup.found), lookup.trouble) == (set(names), None)
    assert len(wire.requests) == 1
