"""Faults: each applies to the requests that it is for, and to no others."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from relay.local.sqs import Fault, Request, SqsServer

from .conftest import Refused, Sqs


@pytest.mark.parametrize(
    ("code", "status", "header"),
    [
        ("RequestThrottled", 403, "RequestThrottled;Sender"),
        ("ThrottlingException", 400, "ThrottlingException;Sender"),
        ("KmsAccessDenied", 400, "KMS.AccessDeniedException;Sender"),
        ("ServiceUnavailable", 503, "ServiceUnavailable;Receiver"),
    ],
)
async def test_any_error_can_be_injected(sqs: Sqs, code: str, status: int, header: str) -> None:
    queue = await sqs.queue()
    sqs.server.faults.add(Fault(action="SendMessage", error=code))
    with pytest.raises(Refused) as refused:
        await sqs.send("x")
    assert (refused.value.code, refused.value.status) == (code, status)
    assert refused.value.header == header
    assert queue.messages() == ()
    await sqs.send("x")
    assert len(queue.messages()) == 1


async def test_a_fault_can_skip_requests_be_limited_and_select_a_queue(sqs: Sqs) -> None:
    await sqs.queue()
    await sqs.queue("other")
    sqs.server.faults.add(
        Fault(action="SendMessage", queue="q", skip=1, times=2, error="OverLimit")
    )
    results = []
    for queue in ("other", "q", "q", "other", "q", "q"):
        try:
            await sqs.send("x", queue=queue)
            results.append(True)
        except Refused:
            results.append(False)
    assert results == [True, True, False, True, False, True]
    assert sqs.server.faults.pending == ()


async def test_a_refused_connection_does_nothing(sqs: Sqs) -> None:
    queue = await sqs.queue()
    sqs.server.faults.add(Fault(action="SendMessage", refuse=True))
    with pytest.raises(httpx.TransportError):
        await sqs.send("x")
    assert queue.messages() == ()


async def test_a_request_whose_response_is_dropped_was_carried_out(sqs: Sqs) -> None:
    queue = await sqs.queue()
    sqs.server.faults.add(Fault(action="SendMessage", drop=True))
    with pytest.raises(httpx.TransportError):
        await sqs.send("x")
    assert len(queue.messages()) == 1


async def test_a_delay_follows_the_clock(sqs: Sqs) -> None:
    await sqs.queue()
    sqs.server.faults.add(Fault(action="SendMessage", delay=40))
    sending = asyncio.create_task(sqs.send("x"))
    await sqs.clock.until_asleep()
    assert not sending.done()
    sqs.clock.advance(40)
    assert len(await sending) == 1


async def test_chosen_entries_of_a_batch_fail(sqs: Sqs) -> None:
    queue = await sqs.queue()
    sqs.server.faults.add(Fault(action="SendMessageBatch", entries={1: "InternalFailure"}))
    batch = [{"Id": str(n), "MessageBody": str(n)} for n in range(3)]
    sent = await sqs.call("SendMessageBatch", QueueUrl="q", Entries=batch)
    assert [entry["Id"] for entry in sent["Successful"]] == ["0", "2"]
    [failed] = sent["Failed"]
    assert (failed["Id"], failed["Code"]) == ("1", "InternalFailure")
    assert failed["SenderFault"] is False
    assert [stored.body for stored in queue.messages()] == ["0", "2"]


@pytest.mark.parametrize("action", ["SendMessage", "ReceiveMessage", "DeleteMessage"])
async def test_a_message_is_delivered_twice(sqs: Sqs, action: str) -> None:
    await sqs.queue()
    sqs.server.faults.add(Fault(action=action, duplicate=True))
    [sent] = await sqs.send("x")
    got: list[dict[str, Any]] = []
    while received := await sqs.receive():
        got += received
        for message in received:
            await sqs.delete(message)
    assert [message["MessageId"] for message in got] == [sent, sent]


async def test_a_handle_is_made_stale(sqs: Sqs) -> None:
    name = "q.fifo"
    queue = await sqs.queue(name, FifoQueue="true")
    sqs.server.faults.add(Fault(action="DeleteMessageBatch", stale=True))
    await sqs.send("x", queue=name, MessageGroupId="g", MessageDeduplicationId="d")
    for failed, left in ((1, (1, 0, 0)), (0, (0, 0, 0))):
        [message] = await sqs.receive(name)
        entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}
        done = await sqs.call("DeleteMessageBatch", QueueUrl=name, Entries=[entry])
        assert (len(done.get("Failed", ())), queue.counts()) == (failed, left)


async def test_a_received_handle_expires_at_once(sqs: Sqs) -> None:
    await sqs.queue()
    sqs.server.faults.add(Fault(action="ReceiveMessage", stale=True))
    await sqs.send("x")
    [first] = await sqs.receive()
    [second] = await sqs.receive()
    assert first["MessageId"] == second["MessageId"]


async def test_a_fault_function_is_called_for_each_request() -> None:
    requests = []

    def faults(request: Request) -> Fault | None:
        requests.append((request.action, request.queue, request.payload.get("QueueName")))
        return Fault(error="InvalidSecurity") if request.action == "GetQueueUrl" else None

    async with SqsServer(faults=faults) as server, httpx.AsyncClient(base_url=server.url) as http:
        for action in ("CreateQueue", "GetQueueUrl"):
            headers = {"x-amz-target": f"AmazonSQS.{action}"}
            await http.post("/", json={"QueueName": "q"}, headers=headers)
        assert server.requests == {"CreateQueue": 1, "GetQueueUrl": 1}
    assert requests == [("CreateQueue", None, "q"), ("GetQueueUrl", None, "q")]


async def test_faults_can_be_set_from_another_process(sqs: Sqs) -> None:
    await sqs.queue()
    fault = {"action": "SendMessageBatch", "entries": {"0": "OverLimit"}, "times": None}
    assert (await sqs.http.post("/_faults", json=[fault])).status_code == 200
    entry = {"Id": "a", "MessageBody": "x"}
    sent = await sqs.call("SendMessageBatch", QueueUrl="q", Entries=[entry])
    assert sent["Failed"][0]["Code"] == "OverLimit"
    assert (await sqs.http.get("/_faults")).json()[0]["action"] == "SendMessageBatch"
    assert (await sqs.http.delete("/_faults")).json() == []
    assert (await sqs.http.post("/_faults", json={"no": "list"})).status_code == 400
    assert (await sqs.http.get("/_nothing")).status_code == 404
