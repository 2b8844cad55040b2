"""`relay dlq pull`, `stats`, `list` and `show`: seeing what is there changes nothing."""

from pathlib import Path

from tests.dlq.conftest import QUICK, Place, Relay, event, noted


async def test_a_pull_takes_everything_and_releases_it(
    relay: Relay, place: Place, tmp_path: Path
) -> None:
    await place.send("dead", *(event(i) for i in range(37)), attributes=noted("a"))
    ended = await relay("dlq", "pull", "now.jsonl.gz", *QUICK)
    assert (ended.code, ended.out) == (0, "37 messages in now.jsonl.gz\n")
    assert place.visible("dead") == 37
    listed = await relay("dlq", "list", "now.jsonl.gz")
    assert len(listed.out.splitlines()) == 37
