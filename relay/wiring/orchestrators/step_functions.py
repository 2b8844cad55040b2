"""Step Functions, wired."""

from __future__ import annotations

from relay.aws.states import Machine
from relay.destinations.step_functions import StepFunctions
from relay.settings import Settings
from relay.wiring.orchestrators.started import Conflict, Started
from relay.wiring.session import SharedSession
from relay.wiring.states import StatesMachine


def started(settings: Settings, session: SharedSession, conflict: Conflict) -> Started:
    """Starts executions of the state machine that the settings name."""
    machine = StatesMachine(Machine(session, settings.step_functions_arn or ""))
    starter = StepFunctions(
        machine,
        express=settings.step_functions_express,
        timeout=settings.request_timeout,
        what=settings.content,
        conflict=conflict,
    )
    return Started(starter)
