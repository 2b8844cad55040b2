"""An SQS server on a loopback socket, for any SDK: real semantics, a virtual clock, faults."""

from relay.local.sqs.faults import Fault, Faults, FaultScript, Request
from relay.local.sqs.queue import Queue
from relay.local.sqs.server import SqsServer
from relay.local.sqs.stored import Stored

__all__ = ["Fault", "FaultScript", "Faults", "Queue", "Request", "SqsServer", "Stored"]
