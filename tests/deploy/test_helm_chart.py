"""The Helm chart and the plain manifest that is rendered from it."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from relay.settings import clocks
from relay.settings.loading import load
from relay.settings.model import Settings
from relay_cdk import kubernetes
from relay_cdk.kubernetes import CHART, MANIFEST, render
from tests.container.dockerfile import stages

ROOT = Path(__file__).parents[2]
HEAVY = ROOT / ".heavy"
VALIDATOR = HEAVY / "kubernetes/bin/kubernetes-validate"
EXAMPLES = ("example-values.yaml", "everything-values.yaml")
CUSTOM = ("keda.sh", "monitoring.coreos.com")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{HEAVY / 'bin'}")


@pytest.fixture
def _helm() -> None:
    if kubernetes.helm() is None:
        pytest.skip("needs helm")


needs_helm = pytest.mark.usefixtures("_helm")


def resources(text: str) -> dict[str, Any]:
    """The resources by kind, with two of a kind refused."""
    found = [one for one in yaml.safe_load_all(text) if one]
    kinds = {one["kind"]: one for one in found if one["metadata"]["name"] != "relay-dashboard"}
    assert len(found) - len(kinds) in (0, 1)
    return kinds


@pytest.fixture(params=["plain manifest", *EXAMPLES])
def rendered(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The resources of the plain manifest, and where helm is there those of each example."""
    if request.param not in EXAMPLES:
        return resources(MANIFEST.read_text())
    if kubernetes.helm() is None:
        pytest.skip("needs helm")
    return resources(render(request.param))


def values(name: str) -> dict[str, Any]:
    path = CHART / name if name == "values.yaml" else CHART / "ci" / name
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def pod(rendered: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = rendered["Deployment"]["spec"]["template"]["spec"]
    return found


def variables(rendered: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = rendered["ConfigMap"]["data"]
    return found


@needs_helm
def test_the_plain_manifest_is_the_rendered_chart() -> None:
    assert MANIFEST.read_text() == kubernetes.manifest(), "run `make monitoring`"


@needs_helm
@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    linted = subprocess.run(
        [
            *(kubernetes.helm() or "", "lint", str(CHART), "--strict"),
            *("--values", str(CHART / "ci" / name)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
    assert not re.search(r"\[(WARNING|ERROR)\]", linted.stdout)


@needs_helm
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "settings.RELAY_QUEUE_URL is not set"),
        ({"settings": {"RELAY_INNGEST_EVENT_KEY": "key"}}, "RELAY_INNGEST_EVENT_KEY"),
        ({"replica": 3}, "replica"),
        ({"settings": {"RELAY_QUEUE_URL": "orders"}, "keda": {"enabled": True}}, "to be a URL"),
    ],
)
def test_wrong_values_are_refused_with_the_value_s_name(
    changed: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(changed))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(str(file))
    assert sentence in refused.value.stderr


@pytest.mark.parametrize("name", ["values.yaml", *EXAMPLES])
def test_values_fit_their_schema(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(merged(values("values.yaml"), values(name)), SCHEMA)


def merged(defaults: Any, given: Any) -> Any:
    """The values that a chart is rendered with."""
    if not (isinstance(defaults, dict) and isinstance(given, dict)):
        return given
    return defaults | {key: merged(defaults.get(key), value) for key, value in given.items()}


def test_the_schema_has_every_value_and_no_other() -> None:
    def paths(value: Any, schema: Any, at: str = "") -> Iterator[tuple[str, bool, bool]]:
        known = schema.get("properties", {}) if schema.get("additionalProperties") is False else {}
        for key in {*known, *(value if known else ())}:
            yield f"{at}.{key}", key in value, key in known
            if isinstance(value.get(key), dict):
                yield from paths(value[key], known.get(key, {}), f"{at}.{key}")

    # Helm passes `global` to every chart.
    wrong = [path for path, given, known in paths(values("values.yaml"), SCHEMA) if given != known]
    assert wrong == [".global"]


def test_keys_are_refused_among_the_settings() -> None:
    refused = set(SCHEMA["properties"]["settings"]["propertyNames"]["not"]["enum"])
    fields = Settings.model_fields
    keys = {f"RELAY_{name.upper()}" for name in fields if f"{name}_secret" in fields}
    assert refused == keys | {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


def test_the_chart_is_of_the_package_s_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == package["version"]
    assert chart["description"] == package["description"]


def test_the_settings_are_valid_and_known(
    rendered: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        monkeypatch.delenv(name)
    loaded = load(variables(rendered))
    assert (loaded.errors, loaded.warnings) == ((), ())
    assert loaded.settings.metrics == "prometheus"
    (port,) = pod(rendered)["containers"][0]["ports"]
    assert loaded.settings.port == port["containerPort"]


@needs_helm
def test_a_large_number_stays_a_number() -> None:
    found = variables(resources(render("everything-values.yaml")))
    assert found["RELAY_MAX_IN_FLIGHT_BYTES"] == "134217728"
    assert (found["RELAY_SLO"], found["RELAY_LOG_PAYLOAD"]) == ("7.5", "false")


def test_a_pod_gets_the_time_that_its_stop_may_take(rendered: dict[str, Any]) -> None:
    given = pod(rendered)["terminationGracePeriodSeconds"]
    drain = float(variables(rendered).get("RELAY_DRAIN_DEADLINE", clocks.DRAIN_DEADLINE))
    longer = clocks.KILLED_AFTER - clocks.DRAIN_DEADLINE
    assert given == math.ceil(drain + longer)


def test_a_pod_keeps_to_the_restricted_standard(rendered: dict[str, Any]) -> None:
    told = pod(rendered)
    (container,) = told["containers"]
    assert told["securityContext"]["runAsNonRoot"] is True
    assert told["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = told["securityContext"]
    assert f"{user['runAsUser']}:{user['runAsGroup']}" == stages()[-1].last("USER").value
    assert told["automountServiceAccountToken"] is False
    assert told["enableServiceLinks"] is False


def test_probes_restart_a_pod_that_hangs_and_not_one_whose_destination_is_down(
    rendered: dict[str, Any],
) -> None:
    (container,) = pod(rendered)["containers"]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "startup")}
    assert set(paths.values()) == {"/health"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    budget = rendered["PodDisruptionBudget"]["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_selectors_select_the_pods(rendered: dict[str, Any]) -> None:
    labels = rendered["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        rendered["Deployment"]["spec"]["selector"]["matchLabels"],
        rendered["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        rendered["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(
            one["labelSelector"]["matchLabels"]
            for one in pod(rendered)["topologySpreadConstraints"]
        ),
        *([rendered["Service"]["spec"]["selector"]] if "Service" in rendered else []),
    ]
    assert all(selector.items() <= labels for selector in selectors)


@needs_helm
def test_everything_that_is_optional_can_be_had_at_once() -> None:
    found = resources(render("everything-values.yaml"))
    assert {
        "ScaledObject",
        "TriggerAuthentication",
        "ServiceMonitor",
        "PrometheusRule",
        "Service",
    } <= set(found)
    assert "replicas" not in found["Deployment"]["spec"]
    scaling = found["ScaledObject"]["spec"]
    names = {trigger["name"] for trigger in scaling["triggers"]}
    formula = scaling["advanced"]["scalingModifiers"]["formula"]
    assert set(re.findall(r"[a-z]+", formula)) == names
    rules = yaml.safe_load((ROOT / "deploy/prometheus/relay-rules.yaml").read_text())
    assert found["PrometheusRule"]["spec"] == rules
    assert found["Service"]["spec"]["publishNotReadyAddresses"] is True


@needs_helm
def test_the_dashboard_arrives_unchanged() -> None:
    found = yaml.safe_load_all(render("everything-values.yaml"))
    (text,) = (one["data"]["relay.json"] for one in found if "relay.json" in one.get("data", {}))
    assert json.loads(text) == json.loads((ROOT / "deploy/grafana/relay.json").read_text())


@pytest.mark.heavy
@pytest.mark.skipif(not VALIDATOR.exists(), reason="needs kubernetes-validate: make heavy")
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_kubernetes_schemas_accept_every_resource(
    rendered: dict[str, Any], version: str, tmp_path: Path
) -> None:
    own = [one for one in rendered.values() if not one["apiVersion"].startswith(CUSTOM)]
    assert len(own) >= 5
    file = tmp_path / "resources.yaml"
    file.write_text(yaml.safe_dump_all(own))
    ended = subprocess.run(
        [str(VALIDATOR), "--strict", "-k", version, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
