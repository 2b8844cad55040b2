"""Each destination gets its libraries, its permissions and its secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from relay.settings.loading import load
from relay_cdk import bundle
from relay_cdk.needs import needs_of, secret_arn
from relay_cdk.options import BadOption, Options
from relay_cdk.relay import Relay
from relay_cdk.requirements import EXTRAS, entries, missing_extras, packages, with_extras
from tests.deploy.deployments import DESTINATIONS, HERE, MACHINE
from tests.deploy.template import Template, listed

VARIABLES = "aws:elasticbeanstalk:application:environment"
KEYS = "RELAY_INNGEST_EVENT_KEY_SECRET"


@pytest.fixture(scope="session", params=DESTINATIONS)
def to(request: pytest.FixtureRequest, synthesized: Path) -> tuple[str, Template]:
    """A destination and the template of a deployment to it."""
    return request.param, template(synthesized, request.param)


def template(synthesized: Path, name: str) -> Template:
    return Template.of(synthesized / f"to-{name}.json")


def test_its_settings_are_complete_and_contain_no_key_of_inngest(
    to: tuple[str, Template],
) -> None:
    given = {name: value for (space, name), value in to[1].options().items() if space == VARIABLES}
    texts = {
        name: value if isinstance(value, str) else name.lower().replace("_", "-")
        for name, value in given.items()
    }
    assert load({n: v for n, v in texts.items() if n.startswith("RELAY_")}).problems == ()
    assert KEYS not in given
    assert "EventKeySecret" not in to[1].outputs


def resources(found: Template, sid: str) -> Any:
    """What the statement allows, the same in the relay's and the operators' policies."""
    first, second = (s for s in found.statements() if s["Sid"] == sid)
    assert first == second
    return listed(first["Resource"])


def test_a_state_machine_may_be_started_by_its_alias_too(synthesized: Path) -> None:
    found = template(synthesized, "step-functions")
    assert resources(found, "StartExecutions") == [MACHINE]
    executions = MACHINE.replace("stateMachine", "execution")
    assert resources(found, "ReadExecutions") == [f"{executions}:*"]


def test_a_secret_that_is_to_be_created_is_empty_and_in_the_outputs(synthesized: Path) -> None:
    found = template(synthesized, "temporal")
    secret = found.one("AWS::SecretsManager::Secret")
    assert secret == {"Description": "The value of RELAY_TEMPORAL_API_KEY"}
    reference = found.options()[VARIABLES, "RELAY_TEMPORAL_API_KEY_SECRET"]
    assert found.outputs["TemporalApiKeySecret"]["Value"] == reference
    assert resources(found, "OrchestratorKeys") == [reference]


def test_existing_secrets_and_parameters_may_be_read(synthesized: Path) -> None:
    named = json.dumps(resources(template(synthesized, "prefect"), "OrchestratorKeys"))
    assert ":secret:shop/prefect-??????" in named
    given = DESTINATIONS["webhook"]["RELAY_WEBHOOK_URL_SECRET"]
    assert resources(template(synthesized, "webhook"), "OrchestratorKeys") == [given]
    parameters = json.dumps(resources(template(synthesized, "argo"), "OrchestratorParameters"))
    assert ":parameter/shop/argo" in parameters


def test_the_random_end_of_a_secrets_arn_may_be_left_out() -> None:
    arn = f"arn:aws:secretsmanager:{HERE}:secret:shop/hook"
    assert secret_arn(f"{arn}-a1b2c3", "unused") == f"{arn}-a1b2c3"
    assert secret_arn(arn, "unused") == f"{arn}-??????"


def test_the_bundle_has_the_libraries_that_the_settings_need(synthesized: Path) -> None:
    asset = {
        name: sorted(installed(synthesized, name) - base()) for name in (*DESTINATIONS, "webhook")
    }
    assert {"temporalio", "opentelemetry-sdk"} <= set(asset["temporal"])
    assert "bullmq" in asset["bullmq"]
    assert "temporalio" not in asset["bullmq"]
    assert "opentelemetry-sdk" in asset["step-functions"]
    assert asset["webhook"] == asset["prefect"] == []


def installed(synthesized: Path, name: str) -> set[str]:
    """The packages in the requirements of the deployment's own bundle."""
    manifest = json.loads((synthesized / "out" / f"to-{name}.assets.json").read_text())
    (path,) = (
        file["source"]["path"]
        for file in manifest["files"].values()
        if file["source"]["path"].endswith(".zip")
    )
    return packages(bundle.requirements_of(synthesized / "out" / path))


def base() -> set[str]:
    return packages((bundle.ROOT / "requirements.txt").read_text())


def test_every_extra_has_its_pins_with_hashes_which_pip_wants_of_all_or_none() -> None:
    every = {"RELAY_ROUTES": "a=temporal,*=bullmq", "RELAY_TRACES": "otlp"}
    assert set(needs_of(every).extras) == set(EXTRAS)
    development = entries((bundle.ROOT / "requirements-dev.txt").read_text())
    plain = (bundle.ROOT / "requirements.txt").read_text()
    for path in EXTRAS.values():
        pins = entries(path.read_text())
        assert pins
        assert [key for key in pins if key not in development] == [], "run make lock"
        merged = with_extras(plain, [path.stem])
        assert all(
            ("--hash=" in entry) == ("--hash=" in plain) for entry in entries(merged).values()
        )
        # No package twice.
        assert len(packages(merged)) == len({key.partition(";")[0] for key in entries(merged)})


def test_a_bundle_of_ones_own_without_the_libraries_is_refused(tmp_path: Path) -> None:
    bundle.write(tmp_path / "plain.zip")
    bundle.write(tmp_path / "with.zip", extras=["temporal", "otlp"])
    needed = needs_of({"RELAY_DESTINATION": "temporal", "RELAY_TRACES": "otlp"}).extras
    plain, full = (bundle.requirements_of(tmp_path / f"{n}.zip") for n in ("plain", "with"))
    assert missing_extras(plain, needed) == ["temporal", "otlp"]
    assert missing_extras(full, needed) == []
    settings = {"RELAY_DESTINATION": "temporal", **DESTINATIONS["temporal"]}
    options = Options(settings=settings, bundle=tmp_path / "plain.zip")
    with pytest.raises(BadOption, match='make bundle EXTRAS="temporal otlp"'):
        Relay(cdk.Stack(cdk.App(), "own"), "Relay", options)


def test_the_bucket_for_dead_letters_is_written_by_the_relay_alone_and_only_in_its_part(
    complete: Template,
) -> None:
    (put,) = (s for s in complete.statements() if s["Sid"] == "LargeDeadLetters")
    objects = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, OF_DEAD_LETTERS]]}
    assert (put["Action"], put["Resource"]) == ("s3:PutObject", objects)
    assert objects in resources(complete, "Payloads")


OF_DEAD_LETTERS = ":s3:::shop-dead-letters/relay-dead-letters/*"
