"""A local SQS server for any SDK, with SQS's semantics, a virtual clock and fault injection."""

from relay.local.sqs.account import Limits
from relay.local.sqs.faults import Fault, Faults, FaultScript, Request
from relay.local.sqs.queue import Queue
from relay.local.sqs.server import SqsServer
from relay.local.sqs.stored import Stored

__all__ = ["Fault", "FaultScript", "Faults", "Limits", "Queue", "Request", "SqsServer", "Stored"]
