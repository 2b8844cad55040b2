"""What `relay dev` prints once everything runs: the addresses, and how to publish an event."""

from __future__ import annotations

from relay.local.environment import EVENT_KEY, REGION, Environment, Plan
from relay.settings.loading import load


def addresses(environment: Environment) -> dict[str, str | None]:
    """The addresses as fields."""
    return {
        "type": "servers",
        "sqs_url": environment.sqs.url,
        "queue_url": environment.queue_url,
        "dlq_url": environment.dlq_url,
        "relay_url": environment.relay_url,
        "console_url": environment.console_url,
        "inngest_url": environment.inngest_url,
        "gateway_url": environment.gateway_url,
    }


def welcome(environment: Environment, plan: Plan) -> str:
    """The addresses, and commands to copy."""
    runs = f"\n  Runs          {environment.inngest.url}/_runs" if environment.inngest else ""
    return f"""\
Everything is running. Ctrl-C stops it.

  SQS           {environment.sqs.url}
  Queue         {environment.queue_url}
  Dead letters  {environment.dlq_url}
  Relay         {environment.relay_url or "AWS Lambda, which listens nowhere"}
  Event API     {environment.inngest_url}{runs}
  Gateway       {environment.gateway_url}
  Console       {environment.console_url or "needs the extra: pip install 'sqs-relay[console]'"}

Publish an event with an Inngest SDK, or as one does:

  export INNGEST_EVENT_API_BASE_URL={environment.gateway_url} INNGEST_EVENT_KEY={EVENT_KEY}
  curl {environment.gateway_url}/e/{EVENT_KEY} \\
    -d '{{"name": "media/uploaded", "data": {{"key": "a.wav"}}}}'

Or put one into the queue:

  export AWS_ENDPOINT_URL={environment.sqs.url} AWS_DEFAULT_REGION={REGION}
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  echo '{{"name": "media/uploaded", "data": {{"key": "a.wav"}}}}' |
    relay send --queue {environment.queue_url} -

{_arrival(environment, plan)}
"""


def _arrival(environment: Environment, plan: Plan) -> str:
    """Where events arrive. The shell's settings may send them to others than Inngest."""
    destinations = load(plan.settings).settings.destinations
    others = ", ".join(name for name in destinations if name != "inngest")
    if not others:
        return f"See it arrive:\n\n  curl {environment.inngest_url}/v1/events"
    some = "some of the" if "inngest" in destinations else "all"
    return f"The RELAY_ variables of this shell send {some} events to {others}."
