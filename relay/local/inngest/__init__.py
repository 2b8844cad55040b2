"""A local Inngest event API on loopback that behaves like a real self-hosted server.

It is for tests, demos and development. Events are validated, acknowledged, stored and scheduled;
functions "run" at once by being recorded. It also reproduces the faults of a real server: a batch
of which only a part is stored, a 200 that stores nothing, an acknowledged event that a stop loses,
an id that a restart forgets.

Its judge is a recording of what Inngest v1.43.0 answered (tests/recordings): every recorded request
gets the recorded answer, but for a few that tests/local/inngest/test_recording.py lists.

In process:

    async with InngestServer(functions=[Function(name="index", on="media/uploaded")]) as server:
        ...  # POST to f"{server.url}/e/any-key"
        await server.until(lambda: len(server.runs) == 3)

On its own: `python -m relay.local.inngest --port 8288 --function index=media/uploaded`.

| the real server's | endpoints |
|---|---|
| event API | `POST /e/{key}` |
| API v1 | `GET /v1/events`, `/v1/events/{ULID}`, `/v1/events/{ULID}/runs`, `/v1/runs/{ULID}` |
| API v2 | `GET /api/v2/events/{ULID}/runs`, `/api/v2/runs`, `/api/v2/runs/{ULID}` |
| | `GET /api/v2/apps`, `/api/v2/apps/{app}`, `/api/v2/apps/{app}/functions` |
| | `POST /api/v2/events` |
| others | `GET /health`, `GET /dev`; any other path is the web interface |

There are a few more for tests in another process:

| endpoint | request or response body |
|---|---|
| `GET /_runs` | `{"runs": [Run, …]}`, including earlier processes with the same state file |
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
