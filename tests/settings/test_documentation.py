"""docs/settings.md documents every setting with its current default."""

from dataclasses import asdict
from pathlib import Path

import pytest

from relay.settings.clocks import Clocks, LambdaClocks
from relay.settings.model import Settings
from relay.settings.reference import meaning, reference, variable

DOCUMENT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_reference_is_what_relay_config_prints() -> None:
    written = DOCUMENT.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]
    assert written.strip() == reference().strip(), "run: relay config --markdown"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_a_setting_has_a_meaning(name: str) -> None:
    assert meaning(name).endswith((".", ")"))


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        *asdict(Clocks()).items(),
        *((name, figure) for name, figure in asdict(LambdaClocks()).items() if "lambda" in name),
    ],
)
def test_the_table_of_clocks_has_the_defaults(name: str, figure: float) -> None:
    assert f"| `{variable(name)}` | {figure:.0f} |" in DOCUMENT
