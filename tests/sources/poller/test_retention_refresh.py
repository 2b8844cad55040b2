"""The queue's retention is read again while the poller runs."""

from __future__ import annotations

from relay.delivery.retention import REFRESH_EVERY, Retention
from relay.local.sqs.faults import Fault
from tests.sources.poller.rig import Rig


async def test_a_failed_read_keeps_the_last_retention_and_the_next_read_counts(rig: Rig) -> None:
    retention = Retention(clock=rig.clock.time)
    async with rig.running(retention=retention):
        await rig.pass_time(lambda: retention.seconds is not None)
        first, requested = retention.seconds, rig.server.requests["GetQueueAttributes"]
        await rig.change(MessageRetentionPeriod="600")
        rig.server.faults.add(
            Fault(action="GetQueueAttributes", error="AccessDeniedException", status=400)
        )
        rig.clock.advance(REFRESH_EVERY)
        await rig.pass_time(lambda: rig.server.requests["GetQueueAttributes"] == requested + 1)
        assert retention.seconds == first
        rig.clock.advance(REFRESH_EVERY)
        await rig.pass_time(lambda: retention.seconds == 600)
