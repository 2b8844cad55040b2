"""Stand-ins for the orchestrators beside Inngest: real servers on loopback that count starts."""

from relay.local.orchestrators.server import Fault, Server
from relay.local.orchestrators.stand_ins import STAND_INS, Api

__all__ = ["STAND_INS", "Api", "Fault", "Server"]
