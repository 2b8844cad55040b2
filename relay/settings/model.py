"""The settings model: every setting with its type, default and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from relay.forwarding.routing import parse_routes
from relay.settings import clocks, conflicts
from relay.settings.clocks import Conflict
from relay.settings.destination_value_types import Destination
from relay.settings.destinations import DestinationSettings
from relay.settings.gateway import GatewaySettings
from relay.settings.value_types import (
    BucketName,
    BucketNames,
    Count,
    EmfTarget,
    EventNames,
    HeaderText,
    Key,
    LocalPaths,
    LogGroup,
    Messages,
    PathExpression,
    PortNumber,
    QueueReference,
    Seconds,
    SecretReference,
    ServiceName,
    Size,
    TableName,
    UpTo100,
    UpTo1000,
    UpTo5000,
    Wait,
    WebAddress,
)
from relay.telemetry.metrics import SLO_SECONDS

_CLOCKS = tuple(field.name for field in fields(clocks.Clocks))
_LAMBDA_CLOCKS = {field.name for field in fields(clocks.LambdaClocks)} - {"batching_window"}


class Settings(DestinationSettings, GatewaySettings):
    """All settings of the relay. Durations are seconds, sizes are bytes.

    The constructor does not read the environment; `relay.settings.loading.load` does. An instance
    has no conflicts between its fields.

    Raises:
        pydantic.ValidationError: a value is invalid, or values conflict.
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
    """The base URL of Inngest's event API, without `/e/` and what follows it: Inngest Cloud's, or
    your own server's."""
    inngest_ca_file: str | None = None
    """The file with the CA certificate that the server's certificate is verified with, in PEM
    format. If not set, those of `SSL_CERT_FILE`, else the public ones."""
    inngest_event_key: Key | None = None
    """The event key. Inngest Cloud requires one; a dev server accepts any."""
    inngest_event_key_secret: SecretReference | None = None
    """Where to look up the event key at run time instead: a Secrets Manager ARN or name, or `ssm:`
    and a parameter's name. Append `#field` for a field of a JSON secret."""
    inngest_signing_key: Key | None = None
    """The signing key, which the server requires for reading events back."""
    inngest_signing_key_secret: SecretReference | None = None
    """Where to look up the signing key at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    inngest_env: HeaderText | None = None
    """The branch environment of Inngest Cloud, sent as `x-inngest-env`."""
    inngest_seed: bool = False
    """Send a seed, so that each event has the same internal id at each delivery. For functions that
    receive events in batches: they ignore the event's id. Each event then takes a request of its
    own."""
    proxy: Literal["environment", "off"] = "environment"
    """Whether the proxies that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name are
    used, for AWS as for destinations. `off` goes direct."""
    secret_max_age: Seconds = 300.0
    """Seconds after which a secret is looked up again. A refused one is looked up again at once."""
    confirm: Literal["auto", "on", "off"] = "auto"
    """Confirm mode: acknowledge an event only after it was read back from the server. `auto` is on
    for self-hosted servers, which answer 200 before they store an event, and off for the Cloud."""
    confirm_deadline: Seconds = clocks.CONFIRM_DEADLINE
    """Seconds after which an event that could not be read back is retried."""
    request_timeout: Seconds = clocks.REQUEST_TIMEOUT
    """The total timeout of one request to the destination, in seconds."""
    stuck_after: Seconds = clocks.STUCK_AFTER
    """Seconds without success, although the circuit is closed, after which the relay is stuck:
    `/ready` answers 503, and the metric `Stuck` is 1."""
    unheard_every: Seconds | None = None
    """Seconds between two sweeps for delivered events that no function listens to. They set the
    metric `Unheard`. If not set, there are none."""
    unheard_signals: EventNames = ()
    """Names, or patterns such as `media/*`, of events that start no function because steps wait for
    them: a sweep does not report them. Separated by commas."""
    batch_events: UpTo5000 = 100
    """The most events in one request. More gain nothing; the destination accepts at most 5000."""
    batch_bytes: Size = 1_048_576
    """The most bytes in one request. The default is the size of the largest SQS message; it stays
    within the limits of proxies and the timeout. A larger event is sent alone."""

    queue_url: QueueReference | None = None
    """The queue, as URL, ARN or name. In push mode sqsd names it with each message."""
    dlq_url: QueueReference | None = None
    """The dead-letter queue, as URL, ARN or name. If not set, it is found in the queue's redrive
    policy."""
    dead_letter_bucket: BucketName | None = None
    """The S3 bucket that keeps the bodies for which the dead-letter queue has no room. Payloads are
    fetched from it too. If not set, such a message stays in the queue for nine tenths of its
    retention, and is then dead-lettered with the beginning of its body."""
    reject_guard: bool = True
    """Halt dead-lettering when most of the recent messages are rejected, far more than usual,
    instead of moving the whole queue to the dead-letter queue."""
    ledger_table: TableName | None = None
    """The DynamoDB table in which the ledger records what was delivered. If not set, there is no
    ledger."""

    envelope: Literal["auto", "inngest", "sns", "eventbridge", "s3", "cloudevents", "task"] = "auto"
    """The envelope around the events. `auto` detects it for each message."""
    id_attribute: str | None = None
    """The message attribute that holds the message's id. The queue's name is prepended to it."""
    id_path: PathExpression | None = None
    """A JMESPath to the message's id in the body, used if the attribute is absent."""
    fifo_dedup_id: bool = False
    """Use a FIFO message's deduplication id as its id, in pull mode. Do not use it with
    content-based deduplication: messages with equal bodies would become one."""
    max_events: UpTo5000 = 5_000
    """The most events in one message. A message with more is rejected."""
    max_event_bytes: Size = 3_145_728
    """The most bytes in one event. A larger one is rejected. Your Inngest plan may allow less."""
    payload_buckets: BucketNames = ()
    """The S3 buckets that large payloads may be fetched from. None if not set."""
    task_paths: LocalPaths = ()
    """The paths besides `/` that periodic tasks of cron.yaml may be posted to."""
    task_prefix: str = "task/"
    """The prefix of the event's name for a periodic task; the task's name follows."""

    host: str = "127.0.0.1"
    """The address or name to listen on: `0.0.0.0` for all of IPv4, `::` for IPv6 and IPv4. In a
    container use one of these."""
    port: Annotated[PortNumber, Field(validation_alias="PORT")] = 8_000
    """The port that `relay serve` listens on; Elastic Beanstalk sets this variable. `relay poll`
    listens there only if it is set, or with `RELAY_METRICS=prometheus`."""
    hold: Wait = clocks.HOLD
    """Seconds for which a request is held while the destination is unavailable or the relay is
    halted. With a lower value it is still held for two minutes, so that an attempt can be made."""
    sqsd_inactivity_timeout: Seconds = clocks.INACTIVITY_TIMEOUT
    """The value of sqsd's InactivityTimeout. This setting and the following ones change nothing:
    they repeat what is configured elsewhere, so that the relay can refuse values that do not fit
    together."""
    sqsd_visibility_timeout: Seconds = clocks.VISIBILITY_TIMEOUT
    """The value of sqsd's VisibilityTimeout."""
    sqsd_error_visibility_timeout: Seconds = clocks.ERROR_VISIBILITY_TIMEOUT
    """The value of sqsd's ErrorVisibilityTimeout."""
    sqsd_retention: Seconds = clocks.SQSD_RETENTION
    """The value of sqsd's RetentionPeriod."""
    nginx_read_timeout: Seconds = clocks.NGINX_READ_TIMEOUT
    """The value of nginx's proxy_read_timeout."""
    max_receive_count: UpTo1000 = clocks.MAX_RECEIVE_COUNT
    """The maxReceiveCount of the queue's redrive policy."""
    queue_retention: Seconds = clocks.QUEUE_RETENTION
    """The queue's message retention. After 90 % of it a message is dead-lettered as expiring.
    `relay poll` uses the queue's own value for that."""
    dlq_retention: Seconds = clocks.DLQ_RETENTION
    """The dead-letter queue's message retention, longer than the queue's."""

    max_in_flight: Count = 500
    """The most messages that `relay poll` has in flight."""
    handler_concurrency: Count | None = None
    """The most messages that `relay poll` handles at a time, four fifths of `RELAY_MAX_IN_FLIGHT`
    if not set. The others wait, and a free slot goes to the tenant that has the fewest messages
    being handled: on a standard queue a message's group id is its tenant."""
    max_in_flight_bytes: Size = 67_108_864
    """The most bytes of messages that `relay poll` has in flight. In both modes also the most that
    messages take while their events are delivered: unpacked, with payloads from S3, and with 3 KiB
    for each of many events. One message is always allowed."""
    receivers: UpTo100 = 4
    """The most concurrent receives of `relay poll`. While the queue is idle there is one."""
    processes: UpTo100 = 1
    """The processes that `relay poll` runs, to use more than one core. Rates and the limits of what
    is in flight hold for all of them together. Linux only; other commands run one process."""
    fifo_stop_on_reject: bool = False
    """After a rejected message of a FIFO group, stop the group instead of going on with its next
    message."""
    drain_deadline: Seconds = clocks.DRAIN_DEADLINE
    """Seconds after SIGTERM for finishing the messages that are being handled. If nothing answers,
    the process takes up to 12 s longer to exit: the sum must stay below the time after which the
    platform kills it, 30 s by default on Kubernetes and ECS."""

    lambda_timeout: Seconds = clocks.LAMBDA_TIMEOUT
    """The timeout of the AWS Lambda function that the relay runs in, so that the relay can refuse
    values that do not fit together. How long an invocation may take is up to Lambda."""
    lambda_visibility_timeout: Seconds = clocks.LAMBDA_VISIBILITY * clocks.LAMBDA_TIMEOUT
    """The visibility timeout of the queue of an AWS Lambda function. A message that failed is
    hidden for that long at the most."""

    service: ServiceName = "relay"
    """The name of this relay in metrics and logs."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The minimum level of log lines."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """The format of log lines. `auto` is `console` on a terminal and `json` elsewhere."""
    log_messages: Messages = "all"
    """Which messages get a log line with their outcome: `all`, `problems`, or one in N with `1/N`.
    Messages with problems are always logged."""
    log_file: str | None = None
    """A file for all log lines, as JSON, rotated at 50 MB with five older files kept. Standard
    output then gets all lines except the one per message."""
    log_payload: bool = False
    """Include the events' data in the log."""
    metrics: Literal["auto", "cloudwatch", "emf", "prometheus", "otlp", "none"] = "auto"
    """Where metrics are sent. `auto` is `cloudwatch` if there are AWS credentials, else `none`."""
    emf_target: EmfTarget = "stdout"
    """Where `emf` writes its lines: `stdout`, the path of a file, or `tcp://host:port` for the
    CloudWatch agent, which listens on 25888."""
    emf_log_group: LogGroup = "/relay/metrics"
    """The log group that `emf` names to the CloudWatch agent."""
    slo: Seconds = SLO_SECONDS
    """An event counts as delivered in time if that happens within this many seconds after its
    message was first sent."""
    traces: Literal["none", "otlp"] = "none"
    """Where spans are sent: one for each request to the destination, linked to its events'
    traces."""
    trace_in_data: bool = False
    """Add the producer's trace to the event's data as `traceparent`, for functions to use. The rest
    of the data is unchanged."""

    @property
    def destinations(self) -> tuple[str, ...]:
        """The destinations that events may go to: those of the routes, else `destination`."""
        found = dict.fromkeys(route.destination for route in parse_routes(self.routes))
        return tuple(found) or (self.destination,)

    @property
    def lambda_clocks(self) -> clocks.LambdaClocks:
        """The settings that are clocks of a relay on AWS Lambda."""
        return clocks.LambdaClocks(**{name: getattr(self, name) for name in _LAMBDA_CLOCKS})

    @property
    def clocks(self) -> clocks.Clocks:
        """The settings that are clocks."""
        return clocks.Clocks(**{name: getattr(self, name) for name in _CLOCKS})

    @property
    def cloud(self) -> bool:
        """Whether events go to Inngest Cloud and not to a self-hosted server."""
        return conflicts.is_inngest_cloud(self.inngest_url)

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
        """Only the constructor's arguments: a program or test gets no value from elsewhere."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_conflicts(self) -> Self:
        found = tuple(self._conflicts())
        if found:
            text = "; ".join(conflict.sentence for conflict in found)
            # Passed as a value, because sentences may hold braces and per cent signs.
            raise PydanticCustomError("conflicts", "{text}", {"text": text, "conflicts": found})
        return self

    def _conflicts(self) -> Iterator[Conflict]:
        yield from self.clocks.conflicts()
        yield from conflicts.secrets_set_twice(self)
        yield from conflicts.processes(self.processes, self.max_in_flight)
        yield from conflicts.queue_as_its_own_dead_letter_queue(self.queue_url, self.dlq_url)
        signed = self.inngest_signing_key or self.inngest_signing_key_secret
        if "inngest" in self.destinations and self.confirms and not signed:
            yield from conflicts.confirm_without_key(self.confirm, self.inngest_url)
