"""The settings of routes and of the destinations other than Inngest, in a group for each."""

from __future__ import annotations

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

from relay.settings.destination_value_types import (
    ApiAddress,
    Credential,
    Deployment,
    Endpoint,
    Headers,
    HookAddress,
    JobQueueName,
    MachineArn,
    Rates,
    RedisAddress,
    Routes,
    SigningKey,
    Statuses,
)
from relay.settings.value_types import (
    Count,
    PathExpression,
    Seconds,
    SecretReference,
    UpTo100,
    Wait,
)


class DestinationSettings(BaseSettings):
    """The settings of the destinations other than Inngest. Part of `Settings`."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    content: Literal["event", "data"] = "event"
    """What is sent to a destination other than Inngest: the whole event with its id and name, or
    only its data."""
    request_concurrency: UpTo100 = 16
    """The most concurrent requests to a destination that accepts one event per request. The actual
    number is lower while its latency grows or it is overloaded."""
    rate_limit: Rates = ()
    """The most events per second for each destination, or for those named, as in
    `webhook=20,step-functions=300`. If not set, the preset's limit applies to Zapier and Make, and
    none to others."""
    routes: Routes = ()
    """The destination of an event by its name: patterns with destinations, separated by commas. The
    first match decides. If not set, all events go to `RELAY_DESTINATION`."""
    route_max_held: Count = 100
    """With several destinations, the most events that are held for one that is unavailable. Further
    events are returned to the queue, so that the other destinations are not blocked."""
    route_poll_backoff: Wait = 900.0
    """Seconds for which `relay poll` hides a message that it returns for that reason."""
    route_serve_backoff: Wait = 20.0
    """Seconds that `relay serve` waits before it returns such a message, because sqsd would post it
    again at once."""

    step_functions_arn: MachineArn | None = None
    """The ARN of the state machine, or of a version or alias of it."""
    step_functions_allow_express: bool = False
    """Allow an EXPRESS state machine, which runs a repeated event twice."""

    temporal_address: Endpoint | None = None
    """Host and port of the Temporal frontend."""
    temporal_namespace: str = "default"
    """The Temporal namespace."""
    temporal_workflow: str | None = None
    """The type of the workflow to start."""
    temporal_task_queue: str | None = None
    """The task queue that the workflow's workers poll."""
    temporal_signal: str | None = None
    """The name of a signal. Each event is then sent as this signal to the workflow that
    `RELAY_TEMPORAL_WORKFLOW_ID_PATH` finds in it, which is started if there is none. A signal may
    arrive twice; it contains the event's id."""
    temporal_workflow_id_path: PathExpression | None = None
    """A JMESPath to the workflow's id in the event, such as `data.orderId`. For signals only."""
    temporal_retention: Seconds = 259_200.0
    """Seconds for which the namespace retains closed workflows, and with them their ids."""
    temporal_api_key: Credential | None = None
    """The API key of a namespace of Temporal Cloud."""
    temporal_api_key_secret: SecretReference | None = None
    """Where to look up the API key at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    temporal_tls: bool = False
    """Use TLS. With an API key or a certificate file it is always used."""
    temporal_cert_file: str | None = None
    """The file with the client certificate, in PEM format."""
    temporal_key_file: str | None = None
    """The file with its private key, in PEM format."""
    temporal_ca_file: str | None = None
    """The file with the CA certificate that the server's certificate is verified with, in PEM
    format."""

    prefect_api_url: ApiAddress | None = None
    """The URL of Prefect's API: up to `/api` for a server, up to the workspace for Prefect
    Cloud."""
    prefect_deployment: Deployment | None = None
    """The deployment to run: its id, or its flow's name and its own as `flow/deployment`."""
    prefect_parameter: str = "event"
    """The parameter of the flow that receives the event."""
    prefect_api_key: Credential | None = None
    """The API key of Prefect Cloud. `user:password` is sent as basic authentication."""
    prefect_api_key_secret: SecretReference | None = None
    """Where to look up the API key at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    prefect_ca_file: str | None = None
    """The file with the CA certificate that the server's certificate is verified with, in PEM
    format."""

    argo_url: ApiAddress | None = None
    """The URL of the Argo server."""
    argo_namespace: str = "argo"
    """The namespace that workflows are created in."""
    argo_template: str | None = None
    """The WorkflowTemplate that workflows are created from."""
    argo_cluster_template: bool = False
    """The template is a ClusterWorkflowTemplate."""
    argo_parameter: str = "event"
    """The parameter of the workflow that receives the event, as JSON text."""
    argo_token: Credential | None = None
    """The token, with or without `Bearer`."""
    argo_token_secret: SecretReference | None = None
    """Where to look up the token at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    argo_ca_file: str | None = None
    """The file with the CA certificate that the server's certificate is verified with, in PEM
    format."""

    webhook_url: HookAddress | None = None
    """The whole URL. It is redacted in logs and errors, because it is often a secret."""
    webhook_url_secret: SecretReference | None = None
    """Where to look up the URL at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    webhook_preset: Literal["generic", "zapier", "make", "argo-events"] = "generic"
    """The kind of webhook receiver."""
    webhook_signing_key: SigningKey | None = None
    """The key that requests are signed with, following Standard Webhooks."""

    webhook_signing_key_secret: SecretReference | None = None
    """Where to look up the key at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    webhook_signing_key_old: SigningKey | None = None
    """The previous key, which also signs requests while receivers change to the new one."""

    webhook_signing_key_old_secret: SecretReference | None = None
    """Where to look up the previous key at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    webhook_headers: Headers | None = None
    """Headers that are added to each request, separated by semicolons."""

    webhook_headers_secret: SecretReference | None = None
    """Where to look up the headers at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    webhook_status_rules: Statuses = ""
    """The meaning of answers, in rules such as `409=duplicate; 422=reject`. They take precedence
    over the preset's."""
    webhook_dedup_window: Wait = 86_400.0
    """Seconds for which the receiver recognises an `Idempotency-Key`; 0 if it does not."""
    webhook_allow_private: bool = False
    """Allow private and link-local addresses."""
    webhook_cert_file: str | None = None
    """The file with the client certificate, in PEM format."""
    webhook_key_file: str | None = None
    """The file with its private key, in PEM format."""
    webhook_ca_file: str | None = None
    """The file with the CA certificate that the server's certificate is verified with, in PEM
    format."""

    bullmq_url: RedisAddress | None = None
    """The URL of Redis, with user and password if it needs them."""

    bullmq_url_secret: SecretReference | None = None
    """Where to look up the URL at run time instead, in the same form as
    `RELAY_INNGEST_EVENT_KEY_SECRET`."""
    bullmq_queue: JobQueueName | None = None
    """The name of the queue."""
    bullmq_prefix: str = "bull"
    """The prefix of the queue's keys in Redis, the same as its workers use."""
    bullmq_attempts: Count = 1
    """How often a worker tries a job."""
    bullmq_job_retention: Wait = 1_209_600.0
    """Seconds for which finished jobs are kept, and with them their ids. 0 removes them at once, so
    that no repeated event is recognised."""
    bullmq_ca_file: str | None = None
    """The file with the CA certificate that the certificate of Redis is verified with, in PEM
    format. For `rediss://` addresses."""
