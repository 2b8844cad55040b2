"""A local Inngest event API on a loopback socket, which behaves as a real self-hosted server does.

It is there for tests, demos and development: events are validated, acknowledged, stored and
scheduled, functions "run" at once by being recorded, and everything that a real server gets wrong
(a batch that is stored half, a success that is none, an acknowledgement that a crash undoes) goes
wrong here in the same way.

In process:

    async with InngestServer(functions=[Function(name="index", on="media/uploaded")]) as server:
        ...  # POST to f"{server.url}/e/any-key"
        await server.until(lambda: len(server.runs) == 3)

On its own: `python -m relay.local.inngest --port 8288 --function index=media/uploaded`.

Beside the real server's `POST /e/{key}`, `GET /health`, `GET /v1/events`, `GET /v1/events/{ULID}`
and `GET /v1/events/{ULID}/runs` there are a few endpoints for a judge in another process:

| endpoint | body or answer |
|---|---|
| `GET /_runs` | `{"runs": [Run, …]}` of all the server's lives that its state file covers |
| `GET /_events` | `{"stored": [StoredEvent, …], "acknowledged": {id: times, …}}` |
| `GET`, `POST`, `DELETE /_faults` | `[{"fault": {"status": 503}, "times": 2, "names": ["a/b"]}]` |
| `GET`, `POST /_functions` | `[{"name": "index", "on": "media/*", "batched": false}]` |

The fields are those of `Run`, `StoredEvent`, `Rule` with its `Fault`, and `Function`. A POST of
faults appends; a POST of functions replaces.
"""

from relay.local.inngest.faults import Fault, Faults, FaultScript, Rule
from relay.local.inngest.records import Function, Lags, Run, StoredEvent
from relay.local.inngest.request import Request
from relay.local.inngest.server import DEFAULT_PORT, InngestServer

__all__ = [
    "DEFAULT_PORT",
    "Fault",
    "FaultScript",
    "Faults",
    "Function",
    "InngestServer",
    "Lags",
    "Request",
    "Rule",
    "Run",
    "StoredEvent",
]
