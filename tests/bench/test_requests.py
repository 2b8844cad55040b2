"""Requests per message of a saturated relay. They are counted, never timed."""

from __future__ import annotations

from pathlib import Path

from tests.bench.saturated import pulling, pushing


async def test_a_saturated_poller_receives_and_deletes_ten_at_a_time_and_fills_its_batches(
    tmp_path: Path,
) -> None:
    messages = 2_000
    async with pulling("relay", "poll", output=tmp_path / "relay.log") as all_:
        await all_.consume(messages)
        counts = all_.sink.counts()
        assert counts["events"] == messages
        assert counts["posts"] <= 0.015 * messages, counts
        requests = all_.queues.requests()
        assert sum(requests.values()) <= 0.21 * messages, requests


async def test_fifty_connections_share_their_posts(tmp_path: Path) -> None:
    messages = 1_000
    async with pushing("relay", "serve", output=tmp_path / "relay.log") as all_:
        await all_.consume(messages)
        counts = all_.sink.counts()
    assert counts["events"] == messages
    assert counts["posts"] <= 0.1 * messages, counts
