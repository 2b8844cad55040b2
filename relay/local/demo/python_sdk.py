"""Sends events with Inngest's Python SDK: an array on each line of input, its ids or error out.

A program of its own, run by whatever Python has the SDK, without Relay.
"""

import json
import logging
import sys

import inngest  # type: ignore[import-not-found]  # not a dependency: it is there or it is not


def main() -> None:
    """Send each line until the input ends."""
    logging.disable()
    client = inngest.Inngest(app_id="relay-demo")
    _write("ready")
    for line in sys.stdin:
        events = [
            inngest.Event(name=one["name"], data=one["data"], id=one.get("id", ""))
            for one in json.loads(line)
        ]
        try:
            result = {"ids": client.send_sync(events)}
        except Exception as error:  # noqa: BLE001 - whatever it raises, the events are not confirmed
            result = {"error": str(error)}
        _write(json.dumps(result))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
