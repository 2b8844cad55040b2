"""The deployments to test, synthesized in one process and one run."""

from __future__ import annotations

import sys
from pathlib import Path

from relay_cdk import bundle
from relay_cdk.options import Options
from relay_cdk.template import synthesize


def deployments(zip_file: Path) -> dict[str, Options]:
    """The default, one that changes every option, and one without a worker environment."""
    return {
        "default": Options(bundle=zip_file),
        "customized": Options(
            name="orders",
            fifo=True,
            key="create",
            producers=("events.amazonaws.com", "arn:aws:iam::222222222222:role/shop"),
            vpc="vpc-1",
            subnets=("subnet-1", "subnet-2"),
            public_addresses=False,
            platform="arn:aws:elasticbeanstalk:eu-west-1::platform/Python 3.14/4.1.0",
            instance_type="t4g.small",
            architecture="arm64",
            inngest_url="https://inngest.example.com",
            mail="oncall@example.com",
            settings={"RELAY_LOG_LEVEL": "warning"},
            bundle=zip_file,
        ),
        "pull": Options(name="pulled", worker="none"),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    zip_file = folder / "relay.zip"
    bundle.write(zip_file)
    for name, template in synthesize(folder / "out", deployments(zip_file)).items():
        template.rename(folder / f"{name}.json")
