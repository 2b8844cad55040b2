"""Lines of a settings file that say nothing are told by number, never by what is in them."""

from __future__ import annotations

from pathlib import Path

from relay.settings.loading import load

PLANTED = "s3cr3t-11ne"


def test_a_line_that_is_no_variable_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "relay.env"
    file.write_text(f"RELAY_HOLD=60\nkey is {PLANTED}\n# a comment\nexport RELAY_SLO=9\n=\n")
    loaded = load({}, file)
    assert loaded.mistakes == ()
    assert loaded.warnings == (
        f"line 2 of {file} is no NAME=value and was ignored",
        f"line 5 of {file} is no NAME=value and was ignored",
    )
    assert (loaded.settings.hold, loaded.settings.slo) == (60, 9)
