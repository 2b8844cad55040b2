"""Sends the events on standard input with the Python SDK, and prints the ids or the error."""

import json
import logging
import os
import sys

import inngest  # type: ignore[import-not-found]  # it has an environment of its own

logging.disable()
client = inngest.Inngest(app_id="test", env=os.environ.get("SDK_ENV"))
events = [
    inngest.Event(name=e["name"], data=e.get("data", {}), id=e.get("id", ""))
    for e in json.load(sys.stdin)
]
try:
    result = {"ids": client.send_sync(events)}
except Exception as error:  # noqa: BLE001 - whatever it raises is what the test is about
    result = {"error": f"{type(error).__name__}: {error}"}
sys.stdout.write(json.dumps(result))
