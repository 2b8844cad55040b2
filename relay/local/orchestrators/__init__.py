"""Emulators of the orchestrators other than Inngest: loopback servers that count starts."""

from relay.local.orchestrators.apis import APIS, Api
from relay.local.orchestrators.server import Fault, Server

__all__ = ["APIS", "Api", "Fault", "Server"]
