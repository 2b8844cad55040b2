"""Loading settings: their sources, all mistakes at once, and no secret in any sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay.settings.loading import load
from relay.settings.missing import missing
from relay.settings.model import Settings
from relay.settings.reference import MASK, expected, shown, variable

SECRET = "sig-3fd1a0c4"
VARIABLES = sorted(variable(name) for name in Settings.model_fields)
VALUES = ["0", "1", "-1", "7.5", "900", "1e9", "nan", "inf", "on", "true", "x", "a,b", "/a,/b"]
VALUES += ["http://h.example.com:8288", "https://inn.gs", "a.[", " ", "auto", "none", "otlp"]


def test_without_variables_every_setting_has_its_default() -> None:
    loaded = load({})
    assert loaded.settings == Settings()
    assert loaded.errors == loaded.warnings == ()
    assert set(loaded.sources.values()) == {"default"}


def test_the_environment_wins_over_the_file_and_each_value_has_its_source(tmp_path: Path) -> None:
    file = tmp_path / "relay.env"
    file.write_text("# comment\nRELAY_HOLD=60\nRELAY_SERVICE='of $HOME'\nPORT=9000\nOTHER=1\n")
    loaded = load({"RELAY_HOLD": "120", "RELAY_LEDGER_TABLE": ""}, file)
    assert loaded.settings.hold == 120
    assert loaded.settings.service == "of $HOME"
    assert loaded.settings.port == 9_000
    assert loaded.sources["hold"] == "environment"
    assert loaded.sources["service"] == loaded.sources["port"] == "file"
    assert loaded.sources["ledger_table"] == "default"
    assert loaded.warnings == loaded.errors == ()


def test_no_file_is_read_unless_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("RELAY_HOLD=60\n")
    monkeypatch.chdir(tmp_path)
    assert load({}).settings.hold == Settings().hold


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    (mistake,) = load({}, tmp_path / "absent.env").errors
    assert "absent.env" in mistake
    assert "No such file" in mistake


def test_a_file_that_is_not_utf_8_is_a_mistake_that_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "relay.env"
    file.write_bytes("RELAY_HOLD=600\nRELAY_INNGEST_EVENT_KEY=clé\n".encode("latin-1"))
    (mistake,) = load({}, file).errors
    assert mistake.startswith(f"the settings file {file} is not UTF-8 text (line 2): convert it")


def test_a_byte_order_mark_is_not_part_of_the_first_variable(tmp_path: Path) -> None:
    file = tmp_path / "relay.env"
    file.write_bytes(b"\xef\xbb\xbfRELAY_HOLD=600\r\nRELAY_BATCH_EVENTS=7\r\n")
    loaded = load({}, file)
    assert (loaded.settings.hold, loaded.settings.batch_events) == (600, 7)
    assert not loaded.errors + loaded.warnings


def test_a_line_that_is_not_a_variable_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "relay.env"
    file.write_text(f"RELAY_HOLD=60\nkey is {SECRET}\n# a comment\nexport RELAY_SLO=9\n=\n")
    loaded = load({}, file)
    assert loaded.errors == ()
    assert loaded.warnings == (
        f"line 2 of {file} is not NAME=value and was ignored",
        f"line 5 of {file} is not NAME=value and was ignored",
    )
    assert (loaded.settings.hold, loaded.settings.slo) == (60, 9)


def test_settings_built_in_a_program_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_HOLD", "1")
    assert Settings().hold != 1


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().hold = 1


def test_all_mistakes_are_reported_at_once_and_the_other_values_are_kept() -> None:
    loaded = load(
        {
            "RELAY_HOLD": "10 minutes",
            "RELAY_INNGEST_URL": "inn.gs",
            "RELAY_METRICS": "statsd",
            "RELAY_REJECT_GUARD": "maybe",
            "RELAY_TASK_PATHS": "nightly",
            "RELAY_ID_PATH": "a.[",
            "RELAY_SQSD_VISIBILITY_TIMEOUT": "300",
            "RELAY_DLQ_RETENTION": "345600",
            "RELAY_BATCH_EVENTS": "5001",
            "PORT": "99999",
            "RELAY_SERVICE": "orders",
        }
    )
    named = {mistake.split()[0] for mistake in loaded.errors}
    assert named == {
        "RELAY_HOLD",
        "RELAY_INNGEST_URL",
        "RELAY_METRICS",
        "RELAY_REJECT_GUARD",
        "RELAY_TASK_PATHS",
        "RELAY_ID_PATH",
        "RELAY_SQSD_VISIBILITY_TIMEOUT",
        "RELAY_DLQ_RETENTION",
        "RELAY_BATCH_EVENTS",
        "PORT",
    }
    assert len(loaded.errors) == 10
    assert loaded.settings == Settings(service="orders")


def test_a_mistake_says_what_the_value_must_be() -> None:
    (mistake,) = load({"RELAY_METRICS": "statsd"}).errors
    assert mistake == ("RELAY_METRICS must be one of auto, cloudwatch, emf, prometheus, otlp, none")


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_describes_what_it_expects(name: str) -> None:
    assert expected(name)


@pytest.mark.parametrize(
    "url",
    [
        f"https://inn.gs/e/{SECRET}",
        f"https://{SECRET}@inn.gs",
        f"https://user:{SECRET}@inn.gs",
        f"https://inn.gs/?key={SECRET}",
        f"ftp://{SECRET}",
        SECRET,
        "https://",
        "https://[::1",
        "https://h:99999",
        "https://inn.gs/e",
        "https://inn.gs/a b",
        "https://inn.gs/a\nb",
        "https://inn.gs/→",
        "https://münchen.example",
    ],
)
def test_an_invalid_address_is_refused_and_not_quoted(url: str) -> None:
    loaded = load({"RELAY_INNGEST_URL": url})
    (mistake,) = loaded.errors
    assert mistake.startswith("RELAY_INNGEST_URL must be")
    assert SECRET not in repr(loaded)


@pytest.mark.parametrize(
    "key", [f"{SECRET} x", f"https://inn.gs/e/{SECRET}", "a/b", "a\x00b", "schlüssel"]
)
def test_an_invalid_key_is_refused_and_not_quoted(key: str) -> None:
    loaded = load({"RELAY_INNGEST_EVENT_KEY": key})
    (mistake,) = loaded.errors
    assert mistake.startswith("RELAY_INNGEST_EVENT_KEY must be")
    assert SECRET not in repr(loaded)


@pytest.mark.parametrize("env", ["a\nb", "a\r\nx-more: b", "→", "ü", " ", "\x7f"])
def test_an_environment_that_does_not_fit_into_a_header_is_refused(env: str) -> None:
    (mistake,) = load({"RELAY_INNGEST_ENV": env}).errors
    assert mistake.startswith("RELAY_INNGEST_ENV must be")


def test_whitespace_around_a_key_is_removed() -> None:
    key = load({"RELAY_INNGEST_EVENT_KEY": f"{SECRET}\n"}).settings.inngest_event_key
    assert key is not None
    assert key.get_secret_value() == SECRET
    assert shown(key) == MASK


def test_an_exception_about_settings_quotes_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"inngest_event_key": f"{SECRET} {SECRET}", "hold": SECRET})
    assert SECRET not in str(caught.value)


def test_a_trailing_slash_is_removed_from_the_address() -> None:
    assert Settings(inngest_url="http://127.0.0.1:8288/").inngest_url == "http://127.0.0.1:8288"


def test_an_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    loaded = load({"RELAY_HOLDS": "1", "RELAY_XYZZY": "1", "HOLD": "1", "relay_port": "1"})
    assert [warning.split()[0] for warning in loaded.warnings] == [
        "RELAY_HOLDS",
        "RELAY_XYZZY",
        "relay_port",
    ]
    assert "did you mean RELAY_HOLD?" in loaded.warnings[0]
    assert "did you mean PORT?" in loaded.warnings[2]
    assert loaded.errors == ()


def test_conflicts_are_refused_for_settings_built_in_a_program_too() -> None:
    with pytest.raises(ValidationError, match="RELAY_HOLD"):
        Settings(hold=10_000.0)


@pytest.mark.parametrize("name", ["inngest_event_key", "inngest_signing_key"])
def test_a_key_and_its_secret_form_exclude_each_other(name: str) -> None:
    secret_form = f"{variable(name)}_SECRET"
    (mistake,) = load({variable(name): SECRET, secret_form: "relay/key"}).errors
    assert secret_form in mistake
    assert SECRET not in mistake


@pytest.mark.parametrize(
    ("url", "choice", "confirms"),
    [
        ("https://inn.gs", "auto", False),
        ("https://stage.inn.gs", "auto", False),
        ("https://api.inngest.com", "auto", False),
        ("https://INN.GS", "auto", False),
        ("http://notinngest.localhost", "auto", True),
        ("http://127.0.0.1:8288", "auto", True),
        ("http://[::1]:8288", "auto", True),
        ("http://inngest:8288", "auto", True),
        ("http://127.0.0.1:8288", "off", False),
        ("http://127.0.0.1:8288", "on", True),
    ],
)
def test_confirm_mode_is_on_for_self_hosted_servers_by_default(
    url: str, choice: str, *, confirms: bool
) -> None:
    loaded = load({"RELAY_INNGEST_URL": url, "RELAY_CONFIRM": choice})
    assert loaded.errors == ()
    assert loaded.settings.confirms is confirms


@pytest.mark.parametrize("url", ["https://inn.gs", "https://inngest.example.com"])
def test_confirm_mode_without_the_required_signing_key_is_a_mistake(url: str) -> None:
    given = {"RELAY_INNGEST_URL": url, "RELAY_CONFIRM": "on"}
    (mistake,) = load(given).errors
    assert "RELAY_INNGEST_SIGNING_KEY" in mistake
    assert load({**given, "RELAY_INNGEST_SIGNING_KEY": "signkey-test-00"}).errors == ()
    assert load({**given, "RELAY_INNGEST_SIGNING_KEY_SECRET": "relay/signing"}).errors == ()


def test_inngest_cloud_requires_an_event_key() -> None:
    assert "RELAY_INNGEST_EVENT_KEY" in missing(Settings())[0]
    assert missing(Settings(inngest_event_key_secret="relay/key")) == []
    assert missing(Settings(inngest_url="http://localhost:8288")) == []


@given(st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from(VALUES), max_size=12))
def test_any_environment_gives_settings_without_conflicts(
    environ: dict[str, str],
) -> None:
    loaded = load(environ)
    assert loaded.settings.clocks.problems() == []
    assert len(set(loaded.errors)) == len(loaded.errors)
