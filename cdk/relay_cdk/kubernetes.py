"""Renders the Helm chart as a plain manifest, for `kubectl apply`: `make monitoring`.

Needs `helm`. What only Helm needs is removed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/relay"
MANIFEST = ROOT / "deploy/kubernetes/relay.yaml"
KUBERNETES = "1.33.0"
"""The version to render for."""

HEAD = """\
# The chart in deploy/helm/relay, rendered by `make monitoring`. Replace the account, the region and
# the names of image, queue, secret and role, then: kubectl apply --namespace relay -f relay.yaml
"""
_ONLY_HELM = re.compile(
    r"^(# Source: .*| *helm[.]sh/chart: .*| *app[.]kubernetes[.]io/managed-by: .*)\n", re.MULTILINE
)


def helm() -> str | None:
    """The path of `helm`, or None."""
    return shutil.which("helm")


def render(values: str) -> str:
    """The chart's manifests with these values, the name of a file in the chart's folder `ci`.

    Raises:
        CalledProcessError: helm refuses the chart or the values.
    """
    return subprocess.run(  # noqa: S603 - a fixed command
        [
            *(helm() or "helm", "template", "relay", str(CHART)),
            *("--namespace", "relay", "--kube-version", KUBERNETES),
            *("--values", str(CHART / "ci" / values)),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def manifest() -> str:
    """The plain manifest."""
    return HEAD + _ONLY_HELM.sub("", render("example-values.yaml"))


def main() -> None:
    """Write the manifest, if helm is there."""
    if helm() is None:
        print("helm is not installed: deploy/kubernetes/relay.yaml is left as it is")  # noqa: T201
    else:
        MANIFEST.write_text(manifest(), encoding="utf-8")


if __name__ == "__main__":
    main()
