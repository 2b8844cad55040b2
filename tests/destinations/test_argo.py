"""What Argo Workflows is sent is a request that Argo's own models know, every field of it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from relay.local.orchestrators import APIS, Server
from relay.model.event import Event
from relay.model.outcome import Delivered
from tests.destinations.conformance.sides import wired

models: Any = pytest.importorskip(
    "hera.workflows.models", reason="Hera, which has Argo's models, is not installed"
)

EVENT = Event(id="e-1", name="order/placed", data=b'{"n": 1.10, "text": "\\u00e9 \\"quoted\\""}')


@pytest.mark.parametrize("cluster", ["true", "false"])
async def test_a_workflow_is_made_in_argos_own_words(cluster: str) -> None:
    api = APIS["argo"]()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(api.respond))
        variables = {
            "RELAY_ARGO_URL": server.url,
            "RELAY_ARGO_CLUSTER_TEMPLATE": cluster,
            **api.settings,
        }
        destination, _ = await wired(stack, "argo", variables)
        assert isinstance((await destination.send([EVENT]))[0], Delivered)
    sent = json.loads(server.requests[0].body)
    read = models.WorkflowCreateRequest.model_validate(sent)
    # A field that the models don't know would be dropped on the way through them.
    assert json.loads(read.model_dump_json(by_alias=True, exclude_none=True)) == sent
    spec = read.workflow.spec
    assert spec.workflow_template_ref.cluster_scope is (cluster == "true")
    assert json.loads(spec.arguments.parameters[0].value) == json.loads(EVENT.wire)
