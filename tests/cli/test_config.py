"""`relay config`: the settings in effect, and their errors."""

import json
from pathlib import Path

from relay.settings.reference import MASK, reference
from tests.cli.conftest import Relay

SECRET = "evt-91b2f7"


async def test_valid_settings_are_shown_with_their_sources_and_masked_secrets(
    relay: Relay, tmp_path: Path
) -> None:
    file = tmp_path / "relay.env"
    file.write_text("RELAY_HOLD=600\n")
    result = await relay("config", "--env-file", str(file), RELAY_INNGEST_EVENT_KEY=SECRET)
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines()}
    assert result.code == 0
    assert result.err == ""
    assert rows["RELAY_HOLD"] == ["file", "600"]
    assert rows["RELAY_INNGEST_EVENT_KEY"] == ["environment", MASK]
    assert rows["RELAY_BATCH_BYTES"] == ["default", "1048576"]
    assert rows["RELAY_QUEUE_URL"] == ["default", "-"]
    assert SECRET not in result.out


async def test_every_invalid_setting_is_reported_in_one_sentence_with_exit_code_2(
    process: Relay,
) -> None:
    result = await process(
        "config",
        "--json",
        RELAY_INNGEST_EVENT_KEY=f"{SECRET} {SECRET}",
        RELAY_HOLD="long",
        RELAY_DLQ_RETENTION="60",
        RELAY_HODL="1",
    )
    document = json.loads(result.out)
    assert result.code == 2
    assert [error.split()[0] for error in document["errors"]] == [
        "RELAY_INNGEST_EVENT_KEY",
        "RELAY_HOLD",
        "RELAY_DLQ_RETENTION",
    ]
    assert "did you mean RELAY_HOLD?" in document["warnings"][0]
    hold = document["settings"]["RELAY_HOLD"]
    assert (hold["value"], hold["source"]) == ("780", "default, the given value is invalid")
    assert all(error in result.err for error in document["errors"])
    assert "Traceback" not in result.err
    assert SECRET not in result.out + result.err


async def test_json_has_the_value_and_source_of_every_setting(relay: Relay) -> None:
    result = await relay("config", "--json", RELAY_INNGEST_EVENT_KEY=SECRET, PORT="9000")
    settings = json.loads(result.out)["settings"]
    assert settings["PORT"] == {"value": "9000", "source": "environment"}
    assert settings["RELAY_LEDGER_TABLE"] == {"value": None, "source": "default"}
    assert settings["RELAY_INNGEST_EVENT_KEY"]["value"] == MASK


async def test_the_reference_is_printed_as_markdown(relay: Relay) -> None:
    result = await relay("config", "--markdown", RELAY_HOLD="bad")
    assert result.code == 0
    assert result.out.strip() == reference().strip()
