"""A local sqsd: the daemon that carries messages from SQS to a worker of Elastic Beanstalk."""

from relay.local.sqsd.counters import Counters
from relay.local.sqsd.cron import CronTask, cron_tasks
from relay.local.sqsd.daemon import Sqsd
from relay.local.sqsd.options import SqsdOptions
from relay.local.sqsd.queue import QueueTrouble
from relay.local.sqsd.schedule import Schedule

__all__ = [
    "Counters",
    "CronTask",
    "QueueTrouble",
    "Schedule",
    "Sqsd",
    "SqsdOptions",
    "cron_tasks",
]
