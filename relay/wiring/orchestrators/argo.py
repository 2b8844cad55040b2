"""Argo Workflows, wired."""

from __future__ import annotations

from contextlib import AsyncExitStack

from relay.destinations.argo import URL, Argo
from relay.settings import Settings
from relay.wiring.kept_secret import KeptSecret, Learn
from relay.wiring.orchestrators.peer import peer, tls
from relay.wiring.orchestrators.started import Conflict, Started


async def started(
    settings: Settings, stack: AsyncExitStack, conflict: Conflict, learn: Learn
) -> Started:
    """Makes workflows out of the template that the settings name."""
    token = KeptSecret(settings, "argo_token", learn)
    trust = tls(authority=settings.argo_authority)
    starter = Argo(
        await peer(stack, settings, settings.argo_url or "", URL, tls=trust),
        settings.argo_namespace,
        settings.argo_template or "",
        credential=token.bearer,
        kind="ClusterWorkflowTemplate" if settings.argo_cluster_template else "WorkflowTemplate",
        parameter=settings.argo_parameter,
        what=settings.content,
        conflict=conflict,
    )
    return Started(starter, token.refresh)
