"""What `eb create orders --tier worker` sends, by the EB command line's own code.

Runs with the Python of an environment that has awsebcli, in a folder with a saved configuration.
Prints what it uploads, and the arguments of CreateEnvironment with and without `--cfg`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ebcli.controllers.create import get_template_name  # type: ignore[import-not-found]
from ebcli.lib import elasticbeanstalk, s3  # type: ignore[import-not-found]
from ebcli.objects.requests import CreateEnvironmentRequest  # type: ignore[import-not-found]
from ebcli.objects.tier import Tier  # type: ignore[import-not-found]


def arguments(template: str | None) -> dict[str, Any]:
    request = CreateEnvironmentRequest(
        app_name="orders",
        env_name="orders",
        template_name=template,
        tier=Tier.from_raw_string("worker"),
    )
    found: dict[str, Any] = request.convert_to_kwargs()
    return found


if __name__ == "__main__":
    uploaded: dict[str, str] = {}
    # Its two calls to AWS on the way.
    elasticbeanstalk.get_storage_location = lambda: "bucket"
    s3.upload_file = lambda _bucket, key, path: uploaded.update({key: Path(path).read_text()})
    by_name = get_template_name("orders", "orders")
    by_path = get_template_name("orders", ".elasticbeanstalk/saved_configs/orders.cfg.yml")
    json.dump(
        {
            "uploaded": uploaded,
            "by_path": by_path,
            "with": arguments(by_name),
            "without": arguments(None),
        },
        sys.stdout,
    )
