"""The request to Argo Workflows is valid for Argo's own models, in every field."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from relay.local.orchestrators import APIS, Server
from relay.model.event import Event
from relay.model.outcome import Delivered
from tests.destinations.conformance.setups import opened

models: Any = pytest.importorskip(
    "hera.workflows.models", reason="Hera, which has Argo's models, is not installed"
)

EVENT = Event(id="e-1", name="order/placed", data=b'{"n": 1.10, "text": "\\u00e9 \\"quoted\\""}')


@pytest.mark.parametrize("cluster", ["true", "false"])
async def test_the_request_is_valid_for_argos_own_models(cluster: str) -> None:
    api = APIS["argo"]()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(api.respond))
        variables = {
            "RELAY_ARGO_URL": server.url,
            "RELAY_ARGO_CLUSTER_TEMPLATE": cluster,
            **api.settings,
        }
        destination, _ = await opened(stack, "argo", variables)
        assert isinstance((await destination.send([EVENT]))[0], Delivered)
    sent = json.loads(server.requests[0].body)
    read = models.WorkflowCreateRequest.model_validate(sent)
    # The models drop unknown fields.
    assert json.loads(read.model_dump_json(by_alias=True, exclude_none=True)) == sent
    spec = read.workflow.spec
    assert spec.workflow_template_ref.cluster_scope is (cluster == "true")
    assert json.loads(spec.arguments.parameters[0].value) == json.loads(EVENT.wire)
