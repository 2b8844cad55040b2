"""The table of actions: each with its request struct and its implementation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from relay.local.sqs import parameters as p
from relay.local.sqs.actions import messages, queues
from relay.local.sqs.actions.call import Call
from relay.local.sqs.actions.messages import receive_message, send_message, send_message_batch

T = TypeVar("T")
Answer: TypeAlias = dict[str, Any] | None


class Action(Generic[T]):
    """One action, called with the bytes of its request. A long poll returns a coroutine."""

    def __init__(
        self, shape: type[T], act: Callable[[Call, T], Answer | Coroutine[Any, Any, Answer]]
    ) -> None:
        self._decoder = msgspec.json.Decoder(shape)
        self._act = act

    def __call__(self, call: Call, body: bytes) -> Answer | Coroutine[Any, Any, Answer]:
        """Decode the request and run the action."""
        return self._act(call, self._decoder.decode(body))


ACTIONS: dict[str, Action[Any]] = {
    "AddPermission": Action(p.AddPermission, queues.add_permission),
    "CancelMessageMoveTask": Action(p.CancelMessageMoveTask, queues.cancel_move),
    "ChangeMessageVisibility": Action(p.ChangeMessageVisibility, messages.change_visibility),
    "ChangeMessageVisibilityBatch": Action(
        p.ChangeMessageVisibilityBatch, messages.change_visibility_batch
    ),
    "CreateQueue": Action(p.CreateQueue, queues.create_queue),
    "DeleteMessage": Action(p.DeleteMessage, messages.delete_message),
    "DeleteMessageBatch": Action(p.DeleteMessageBatch, messages.delete_message_batch),
    "DeleteQueue": Action(p.QueueRequest, queues.delete_queue),
    "GetQueueAttributes": Action(p.GetQueueAttributes, queues.get_attributes),
    "GetQueueUrl": Action(p.GetQueueUrl, queues.get_queue_url),
    "ListDeadLetterSourceQueues": Action(p.ListDeadLetterSourceQueues, queues.list_sources),
    "ListMessageMoveTasks": Action(p.ListMessageMoveTasks, queues.list_moves),
    "ListQueues": Action(p.ListQueues, queues.list_queues),
    "ListQueueTags": Action(p.QueueRequest, queues.list_tags),
    "PurgeQueue": Action(p.QueueRequest, queues.purge_queue),
    "ReceiveMessage": Action(p.ReceiveMessage, receive_message),
    "RemovePermission": Action(p.RemovePermission, queues.remove_permission),
    "SendMessage": Action(p.SendMessage, send_message),
    "SendMessageBatch": Action(p.SendMessageBatch, send_message_batch),
    "SetQueueAttributes": Action(p.SetQueueAttributes, queues.set_attributes),
    "StartMessageMoveTask": Action(p.StartMessageMoveTask, queues.start_move),
    "TagQueue": Action(p.TagQueue, queues.tag_queue),
    "UntagQueue": Action(p.UntagQueue, queues.untag_queue),
}
