"""A local sqsd: Elastic Beanstalk's worker daemon, which posts SQS messages to an application."""

from relay.local.sqsd.cron import CronTask, Schedule, cron_tasks
from relay.local.sqsd.daemon import Sqsd
from relay.local.sqsd.options import SqsdOptions
from relay.local.sqsd.queue import QueueError
from relay.local.sqsd.tasks import Counters

__all__ = [
    "Counters",
    "CronTask",
    "QueueError",
    "Schedule",
    "Sqsd",
    "SqsdOptions",
    "cron_tasks",
]
