"""`relay config`."""

import json
from pathlib import Path

from relay.settings.reference import MASK, reference
from tests.cli.conftest import Relay

SECRET = "evt-91b2f7"


async def test_good_settings_are_shown_with_their_sources_and_secrets_masked(
    relay: Relay, tmp_path: Path
) -> None:
    file = tmp_path / "relay.env"
    file.write_text("RELAY_HOLD=600\n")
    ended = await relay("config", "--env-file", str(file), RELAY_INNGEST_EVENT_KEY=SECRET)
    rows = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines()}
    assert ended.code == 0
    assert ended.err == ""
    assert rows["RELAY_HOLD"] == ["600", "file"]
    assert rows["RELAY_INNGEST_EVENT_KEY"] == [MASK, "environment"]
    assert rows["RELAY_BATCH_BYTES"] == ["1048576", "default"]
    assert rows["RELAY_QUEUE_URL"] == ["-", "default"]
    assert SECRET not in ended.out


async def test_every_mistake_is_told_in_a_sentence_and_the_exit_code_is_2(process: Relay) -> None:
    ended = await process(
        "config",
        "--json",
        RELAY_INNGEST_EVENT_KEY=f"{SECRET} {SECRET}",
        RELAY_HOLD="long",
        RELAY_DLQ_RETENTION="60",
        RELAY_HODL="1",
    )
    told = json.loads(ended.out)
    assert ended.code == 2
    assert [mistake.split()[0] for mistake in told["mistakes"]] == [
        "RELAY_INNGEST_EVENT_KEY",
        "RELAY_HOLD",
        "RELAY_DLQ_RETENTION",
    ]
    assert "did you mean RELAY_HOLD?" in told["warnings"][0]
    hold = told["settings"]["RELAY_HOLD"]
    assert (hold["value"], hold["source"]) == ("780", "default, what is given is refused")
    assert all(mistake in ended.err for mistake in told["mistakes"])
    assert "Traceback" not in ended.err
    assert SECRET not in ended.out + ended.err


async def test_json_has_the_value_and_source_of_every_setting(relay: Relay) -> None:
    ended = await relay("config", "--json", RELAY_INNGEST_EVENT_KEY=SECRET, PORT="9000")
    settings = json.loads(ended.out)["settings"]
    assert settings["PORT"] == {"value": "9000", "source": "environment"}
    assert settings["RELAY_LEDGER_TABLE"] == {"value": None, "source": "default"}
    assert settings["RELAY_INNGEST_EVENT_KEY"]["value"] == MASK


async def test_the_reference_is_printed_as_markdown(relay: Relay) -> None:
    ended = await relay("config", "--markdown", RELAY_HOLD="bad")
    assert ended.code == 0
    assert ended.out.strip() == reference().strip()
