"""Stand-ins for the orchestrators beside Inngest: real servers on loopback that count starts."""

from relay.local.orchestrators.apis import APIS, Api
from relay.local.orchestrators.server import Fault, Server

__all__ = ["APIS", "Api", "Fault", "Server"]
