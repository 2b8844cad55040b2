# ruff: noqa: D101 - each struct is the request of the action of the same name
"""The requests of the JSON protocol: a struct per action, with the model's names and types."""

from __future__ import annotations

from msgspec import Struct, field


class AttributeValue(Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A message attribute on the wire, in requests and responses; binary values are base64."""

    data_type: str
    string_value: str | None = None
    binary_value: bytes | None = None
    string_list_values: list[str] | None = None
    binary_list_values: list[bytes] | None = None


class Draft(Struct, rename="pascal", kw_only=True):
    """A message as a producer sends it: SendMessage without the queue."""

    message_body: str
    delay_seconds: int | None = None
    message_attributes: dict[str, AttributeValue] | None = None
    message_system_attributes: dict[str, AttributeValue] | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessage(Draft, rename="pascal", kw_only=True):
    queue_url: str


class SendEntry(Draft, rename="pascal", kw_only=True):
    id: str


class SendMessageBatch(Struct, rename="pascal"):
    queue_url: str
    entries: list[SendEntry] = []


class ReceiveMessage(Struct, rename="pascal"):
    queue_url: str
    attribute_names: list[str] = []
    message_system_attribute_names: list[str] = []
    message_attribute_names: list[str] = []
    max_number_of_messages: int | None = None
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessage(Struct, rename="pascal"):
    queue_url: str
    receipt_handle: str


class DeleteEntry(Struct, rename="pascal"):
    id: str
    receipt_handle: str


class DeleteMessageBatch(Struct, rename="pascal"):
    queue_url: str
    entries: list[DeleteEntry] = []


class ChangeMessageVisibility(Struct, rename="pascal"):
    queue_url: str
    receipt_handle: str
    visibility_timeout: int


class VisibilityEntry(Struct, rename="pascal"):
    id: str
    receipt_handle: str
    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatch(Struct, rename="pascal"):
    queue_url: str
    entries: list[VisibilityEntry] = []


class CreateQueue(Struct, rename="pascal"):
    queue_name: str
    attributes: dict[str, str] = {}
    tags: dict[str, str] = field(name="tags", default_factory=dict)


class GetQueueUrl(Struct, rename="pascal"):
    queue_name: str
    queue_owner_aws_account_id: str | None = field(name="QueueOwnerAWSAccountId", default=None)


class ListQueues(Struct, rename="pascal"):
    queue_name_prefix: str = ""
    next_token: str | None = None
    max_results: int | None = None


class QueueRequest(Struct, rename="pascal"):
    """The request of actions that take a queue and nothing else."""

    queue_url: str


class GetQueueAttributes(Struct, rename="pascal"):
    queue_url: str
    attribute_names: list[str] = []


class SetQueueAttributes(Struct, rename="pascal"):
    queue_url: str
    attributes: dict[str, str]


class ListDeadLetterSourceQueues(Struct, rename="pascal"):
    queue_url: str
    next_token: str | None = None
    max_results: int | None = None


class TagQueue(Struct, rename="pascal"):
    queue_url: str
    tags: dict[str, str]


class UntagQueue(Struct, rename="pascal"):
    queue_url: str
    tag_keys: list[str]


class AddPermission(Struct, rename="pascal"):
    queue_url: str
    label: str
    account_ids: list[str] = field(name="AWSAccountIds")
    actions: list[str]


class RemovePermission(Struct, rename="pascal"):
    queue_url: str
    label: str


class StartMessageMoveTask(Struct, rename="pascal"):
    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None


class ListMessageMoveTasks(Struct, rename="pascal"):
    source_arn: str
    max_results: int | None = None


class CancelMessageMoveTask(Struct, rename="pascal"):
    task_handle: str
