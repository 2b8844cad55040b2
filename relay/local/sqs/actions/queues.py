"""Making, finding, listing, emptying and removing queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relay.local.sqs import parameters as p
from relay.local.sqs.actions.call import Call
from relay.local.sqs.errors import invalid, invalid_value
from relay.local.sqs.queue import Queue

MAX_PAGE = 1_000


def create_queue(call: Call, wanted: p.CreateQueue) -> dict[str, Any]:
    """Make a queue, or name the one that is there with the same attributes."""
    queue = call.account.create(wanted.queue_name, wanted.attributes, wanted.tags)
    return {"QueueUrl": call.account.url_of(queue)}


def get_queue_url(call: Call, wanted: p.GetQueueUrl) -> dict[str, Any]:
    """The URL of a queue by its name."""
    return {"QueueUrl": call.account.url_of(call.account.by_name(wanted.queue_name))}


def list_queues(call: Call, wanted: p.ListQueues) -> dict[str, Any]:
    """The URLs of queues by prefix, in pages when a size is given."""
    queues = [q for n, q in call.account.queues.items() if n.startswith(wanted.queue_name_prefix)]
    return _page(call, queues, "QueueUrls", wanted.max_results, wanted.next_token)


def list_sources(call: Call, wanted: p.ListDeadLetterSourceQueues) -> dict[str, Any]:
    """The URLs of the queues whose dead letters come here. The service spells this key small."""
    queues = call.account.sources_of(call.queue(wanted.queue_url))
    return {
        "queueUrls": [],
        **_page(call, queues, "queueUrls", wanted.max_results, wanted.next_token),
    }


def delete_queue(call: Call, wanted: p.OfQueue) -> None:
    """Remove a queue with everything in it."""
    call.account.delete(call.queue(wanted.queue_url))


def purge_queue(call: Call, wanted: p.OfQueue) -> None:
    """Empty a queue."""
    call.account.purge(call.queue(wanted.queue_url))


def _page(
    call: Call, queues: Sequence[Queue], key: str, size: int | None, token: str | None
) -> dict[str, Any]:
    """A page of URLs in the order of names. The token is the last name of the page before."""
    if size is None and token is not None:
        raise invalid("MaxResults must be set when NextToken is.")
    if size is not None and not 1 <= size <= MAX_PAGE:
        raise invalid_value("MaxResults", size, "Must be between 1 and 1000, if provided.")
    rest = sorted((q for q in queues if q.name > (token or "")), key=lambda q: q.name)
    page = rest[: size or MAX_PAGE]
    answer: dict[str, Any] = {key: [call.account.url_of(q) for q in page]} if page else {}
    if size is not None and len(rest) > size:
        answer["NextToken"] = page[-1].name
    return answer
