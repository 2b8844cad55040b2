"""One message from its receipt to its end: posted, and then deleted, given back or left alone."""

from __future__ import annotations

import logging

from relay.local.clock import Clock
from relay.local.sqsd.connection import Closed, NoAnswer, Silent
from relay.local.sqsd.counters import Counters
from relay.local.sqsd.deletes import Deletes
from relay.local.sqsd.options import SqsdOptions
from relay.local.sqsd.queue import Queue, QueueTrouble
from relay.local.sqsd.request import Received, RequestForm
from relay.local.sqsd.target import Target

OK = 200

_log = logging.getLogger(__name__)


class Delivery:
    """The rules by which a message is posted and what its answer means for it."""

    def __init__(
        self,
        queue: Queue,
        target: Target,
        deletes: Deletes,
        options: SqsdOptions,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._target = target
        self._deletes = deletes
        self._options = options
        self._counters = counters
        self._clock = clock
        self._form = RequestForm(target.host, queue.name, options.http_path, options.mime_type)

    async def carry(self, message: Received) -> None:
        """Take the message to its end."""
        if self._clock.time() > message.first_received_at + self._options.retention_period:
            self._counters.expired += 1
            self._deletes.add(message.receipt)
            return
        try:
            status = await self._post(self._form.render(message))
        except Silent:
            await self._give_up(message)
        except (NoAnswer, OSError):
            await self._give_back(message)
        else:
            await self._settle(message, status)

    async def _post(self, request: bytes) -> int:
        """The answer's status; a connection that closes under the request does not end it."""
        while True:
            connection = await self._target.connect()
            self._counters.posted += 1
            try:
                return await self._target.post(connection, request)
            except Closed:
                self._counters.reposted += 1

    async def _settle(self, message: Received, status: int) -> None:
        if status == OK:
            self._deletes.add(message.receipt)
        else:
            await self._give_back(message)

    async def _give_up(self, message: Received) -> None:
        if self._options.on_inactivity == "leave-locked":
            self._counters.locked += 1
        else:
            await self._give_back(message)

    async def _give_back(self, message: Received) -> None:
        try:
            await self._queue.release(message.receipt, self._options.error_visibility_timeout)
        except QueueTrouble as trouble:
            _log.warning("message %s stays locked: %s", message.message_id, trouble)
        else:
            self._counters.returned += 1
