"""From a document to a message that is fit to be sent, or the reason why it is not."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from relay.aws.values import Outgoing
from relay.envelope import Rules, decode
from relay.envelope.id_path import found
from relay.message import Attribute, Message, Reject
from relay.publishing.documents import Document


class Unfit(Exception):
    """The document cannot be a message. The text is a sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What messages of one sending have in common.

    Attributes:
        queue: the queue's name, which is part of some ids.
        fifo: whether it is a FIFO queue; then each message has a deduplication id of its own, so
            that a repeated send is no second message.
        rules: how the relay will read the messages; None checks nothing.
        dedup_path: JMESPath to the deduplication id in the body.
    """

    queue: str
    fifo: bool = False
    rules: Rules | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    group_id: str | None = None
    dedup_path: str | None = None

    def message(self, document: Document) -> Outgoing:
        """The document as a message.

        Raises:
            Unfit: the relay would dead-letter it, or it has no deduplication id where one is named.
        """
        attributes = {k: Attribute("String", v) for k, v in self.attributes.items()}
        message = Message(
            body=document.body, message_id="not-sent", queue=self.queue, attributes=attributes
        )
        if self.rules is not None:
            _check(message, self.rules)
        try:
            body = document.body.decode()
        except UnicodeDecodeError as error:
            raise Unfit("it is not UTF-8 text, and SQS takes nothing else") from error
        return Outgoing(
            body=body,
            attributes=attributes,
            group_id=self.group_id,
            dedup_id=self._dedup_id(document.body),
        )

    def _dedup_id(self, body: bytes) -> str | None:
        if self.dedup_path is None:
            return uuid.uuid4().hex if self.fifo else None
        try:
            content = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unfit("it is not JSON and so has no deduplication id") from error
        dedup_id = found(self.dedup_path, content)
        if dedup_id is None:
            raise Unfit(f"it has no text or whole number at {self.dedup_path}")
        return dedup_id


def _check(message: Message, rules: Rules) -> None:
    decoded = decode(message, rules)
    if isinstance(decoded, Reject):
        raise Unfit(f"the relay would reject it as {decoded.code}: {decoded.reason}")
    for index, reject in decoded.rejects:
        raise Unfit(f"the relay would reject its event {index} as {reject.code}: {reject.reason}")
