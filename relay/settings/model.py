"""Every setting of the relay: its variable, its default, its meaning."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from relay.forwarding.routing import parse_routes
from relay.settings import checks, clocks
from relay.settings.destination_value_types import Destination
from relay.settings.destinations import DestinationSettings
from relay.settings.value_types import (
    Count,
    EmfTarget,
    HeaderText,
    Key,
    LocalPaths,
    Messages,
    PathExpression,
    PortNumber,
    QueueReference,
    Seconds,
    SecretReference,
    Size,
    TableName,
    UpTo100,
    UpTo1000,
    UpTo5000,
    Wait,
    WebAddress,
    Words,
)
from relay.telemetry.metrics import SLO_SECONDS


class Settings(DestinationSettings):
    """What a person can set. Durations are seconds, sizes are bytes.

    The constructor reads no environment: `relay.settings.load` does. Whatever it builds holds the
    relations between its fields.

    Raises:
        pydantic.ValidationError: a value or a relation does not hold.
    """

    model_config = SettingsConfigDict(
        env_prefix="RELAY_",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
    )

    destination: Destination = "inngest"
    """The orchestrator that events are sent to."""
    inngest_url: WebAddress = "https://inn.gs"
    """Inngest's event API without the part from `/e/` on: the Cloud's, or a server of your own."""
    inngest_event_key: Key | None = None
    """The event key. The Cloud needs one; a dev server takes any."""
    inngest_event_key_secret: SecretReference | None = None
    """Where to look the event key up at run time instead: a Secrets Manager ARN or name, or `ssm:`
    and a parameter's name; `#field` at the end picks a field of a JSON secret."""
    inngest_signing_key: Key | None = None
    """The signing key, with which the server lets events be read back."""
    inngest_signing_key_secret: SecretReference | None = None
    """Where to look the signing key up at run time instead, written like the event key's."""
    inngest_env: HeaderText | None = None
    """The Cloud's branch environment, sent as `x-inngest-env`."""
    inngest_seed: bool = False
    """Give each event the same internal id at each delivery, for functions that take events in
    batches and know no other. It costs a request for each event."""
    secret_max_age: Seconds = 300.0
    """Seconds after which a secret is looked up again; after a refusal it is at once."""
    confirm: Literal["auto", "on", "off"] = "auto"
    """Acknowledge only what was read back from the server; `auto` is on for servers of your own,
    whose 200 is in memory only, and off for the Cloud."""
    confirm_deadline: Seconds = clocks.CONFIRM_DEADLINE
    """Seconds until an event that cannot be read back is tried again."""
    request_timeout: Seconds = clocks.REQUEST_TIMEOUT
    """Seconds for one request to the destination, whole."""
    batch_events: UpTo5000 = 100
    """The most events in one request; more gain nothing, and the destination takes 5000 at most."""
    batch_bytes: Size = 1_048_576
    """The most bytes in one request, as much as the largest SQS message: it then stays within what
    proxies and the timeout allow. A larger event goes alone."""

    queue_url: QueueReference | None = None
    """The queue, by URL, ARN or name. In push mode sqsd names it with each message."""
    dlq_url: QueueReference | None = None
    """Its dead-letter queue, by URL, ARN or name; else found in the queue's redrive policy."""
    reject_guard: bool = True
    """Halt when most of the recent messages are rejected, far more than usual, instead of moving
    the whole queue into the dead-letter queue."""
    ledger_table: TableName | None = None
    """The DynamoDB table that remembers what was delivered; without one there is no ledger."""

    envelope: Literal["auto", "inngest", "sns", "eventbridge", "s3", "cloudevents", "task"] = "auto"
    """What is around the events; `auto` looks at each message."""
    id_attribute: str | None = None
    """The message attribute that holds a message's id; the queue's name is put before it."""
    id_path: PathExpression | None = None
    """A JMESPath into the body for the same, used where the attribute is absent."""
    fifo_dedup_id: bool = False
    """Use a FIFO message's deduplication id as its id, in pull mode. Not for content-based ones:
    equal messages would become one."""
    max_events: UpTo5000 = 5_000
    """The most events in one message; one with more is rejected."""
    max_event_bytes: Size = 3_145_728
    """The most bytes in one event; a larger one is rejected. Your Inngest plan may allow less."""
    task_paths: LocalPaths = ()
    """The paths besides `/` that periodic tasks of cron.yaml may be sent to."""
    task_prefix: str = "task/"
    """Put before a periodic task's name to make its event's name."""

    host: str = "127.0.0.1"
    """The address that `relay serve` listens on."""
    port: Annotated[PortNumber, Field(validation_alias="PORT")] = 8_000
    """The port that `relay serve` listens on. The variable is the platform's."""
    hold: Wait = clocks.HOLD
    """Seconds for which a request is held while the destination is unavailable or the relay halted.
    Two minutes are held in any case, in which an attempt can be made."""
    sqsd_inactivity_timeout: Seconds = clocks.INACTIVITY_TIMEOUT
    """What sqsd's InactivityTimeout is set to, stated for comparison and set there, as are the
    figures after it: the relay refuses clocks that do not add up."""
    sqsd_visibility_timeout: Seconds = clocks.VISIBILITY_TIMEOUT
    """What sqsd's VisibilityTimeout is set to."""
    sqsd_error_visibility_timeout: Seconds = clocks.ERROR_VISIBILITY_TIMEOUT
    """What sqsd's ErrorVisibilityTimeout is set to."""
    sqsd_retention: Seconds = clocks.SQSD_RETENTION
    """What sqsd's RetentionPeriod is set to."""
    nginx_read_timeout: Seconds = clocks.NGINX_READ_TIMEOUT
    """What nginx's proxy_read_timeout is set to."""
    max_receive_count: UpTo1000 = clocks.MAX_RECEIVE_COUNT
    """The maxReceiveCount of the queue's redrive policy."""
    queue_retention: Seconds = clocks.QUEUE_RETENTION
    """The queue's retention. Past 90 % of it a message in hand is dead-lettered as expiring."""
    dlq_retention: Seconds = clocks.DLQ_RETENTION
    """The dead-letter queue's retention, above the queue's."""

    max_in_flight: Count = 500
    """The most messages that `relay poll` has in hand."""
    handler_concurrency: Count | None = None
    """The most messages that `relay poll` handles at a time, four fifths of those in hand if not
    set. The others wait, so that a free place can go to the tenant with the fewest: on a standard
    queue a message's group id is its tenant."""
    max_in_flight_bytes: Size = 67_108_864
    """The most bytes of messages that `relay poll` has in hand; one message is always taken."""
    receivers: UpTo100 = 4
    """The most concurrent receives of `relay poll`; one while the queue is idle."""
    fifo_stop_on_reject: bool = False
    """After a rejected message of a FIFO group, hold the group back instead of going on with it."""
    payload_buckets: Words = ()
    """The S3 buckets that large payloads may be fetched from; none if not set."""
    drain_deadline: Seconds = clocks.DRAIN_DEADLINE
    """Seconds after SIGTERM to finish what is in hand; keep it below the platform's patience."""

    service: str = "relay"
    """The name of this relay in its metrics and logs."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log lines that are written."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """How log lines look; `auto` is for people on a terminal and JSON elsewhere."""
    log_messages: Messages = "all"
    """Which messages get a log line at their end: `all`, `problems`, or one in N with `1/N`;
    problems always do."""
    log_file: str | None = None
    """A file for all log lines, as JSON, turned at 50 MB with five older ones kept; standard output
    then has everything but the messages' lines."""
    log_payload: bool = False
    """Write the events' data into the log too."""
    metrics: Literal["auto", "cloudwatch", "emf", "prometheus", "otlp", "none"] = "auto"
    """Where metrics go; `auto` is cloudwatch where there are AWS credentials, else none."""
    emf_target: EmfTarget = "stdout"
    """Where emf writes its lines: `stdout`, the path of a file, or `tcp://host:port` for the
    CloudWatch agent's port, which is 25888."""
    emf_log_group: str = "/relay/metrics"
    """The log group that emf names to the CloudWatch agent."""
    slo: Seconds = SLO_SECONDS
    """Seconds from a message's first sending within which an event counts as delivered in time."""
    traces: Literal["none", "otlp"] = "none"
    """Where spans go: a span for each request to the destination, linked to its events' traces."""
    trace_in_data: bool = False
    """Put the producer's trace into the event's data too, as `traceparent`, for functions to use;
    all else in the data stays as it was."""

    @property
    def destinations(self) -> tuple[str, ...]:
        """The destinations that events may go to: those of the routes, else the only one."""
        found = dict.fromkeys(route.destination for route in parse_routes(self.routes))
        return tuple(found) or (self.destination,)

    @property
    def clocks(self) -> clocks.Clocks:
        """The clocks among the settings."""
        return clocks.Clocks(**{name: getattr(self, name) for name in checks.CLOCKS})

    @property
    def cloud(self) -> bool:
        """Whether events go to Inngest's Cloud and not to a server of one's own."""
        return checks.is_cloud(self.inngest_url)

    @property
    def confirms(self) -> bool:
        """Whether events are read back before they are acknowledged."""
        return self.confirm == "on" or (self.confirm == "auto" and not self.cloud)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: a program or a test that builds settings gets no surprises."""
        return (init_settings,)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = tuple(checks.conflicts(self))
        if found:
            text = "; ".join(problem.sentence for problem in found)
            # As a value and not in the text: sentences hold braces and per cent signs.
            raise PydanticCustomError("relations", "{text}", {"text": text, "problems": found})
        return self
