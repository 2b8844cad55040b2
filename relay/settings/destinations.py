"""The settings of the destinations beside Inngest, a group for each."""

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
    """What a person can set for each destination. Part of `Settings`."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    content: Literal["event", "data"] = "event"
    """What is sent of an event to a destination that is not Inngest: the whole event with its id
    and name, or its data alone."""
    request_concurrency: UpTo100 = 16
    """The most requests at once to a destination that takes one event a request. How many there are
    really follows its latency and its errors."""
    rate_limit: Rates = ()
    """The most events a second that are sent to each destination, or to those that are named, as in
    `webhook=20,step-functions=300`; else the preset's for Zapier and Make, and no limit for others.
    """
    routes: Routes = ()
    """Which destination an event goes to by its name: patterns with destinations, separated by
    commas, the first that fits decides. Without any, all go to the destination."""
    route_max_held: Count = 100
    """The most events that wait for one destination of several while it is unavailable; those past
    it are given back to the queue, so that the others flow on."""
    route_poll_backoff: Wait = 900.0
    """Seconds for which `relay poll` hides what it gives back for that reason."""
    route_serve_backoff: Wait = 20.0
    """Seconds after which `relay serve` gives it back: sqsd would post it again at once."""

    step_functions_arn: MachineArn | None = None
    """The state machine, or a version or alias of it."""
    step_functions_allow_express: bool = False
    """Allow an EXPRESS state machine, which runs a repeated event twice."""

    temporal_address: Endpoint | None = None
    """Host and port of Temporal's frontend."""
    temporal_namespace: str = "default"
    """The namespace."""
    temporal_workflow: str | None = None
    """The type of the workflows to start."""
    temporal_task_queue: str | None = None
    """The task queue that their workers listen on."""
    temporal_signal: str | None = None
    """Signal a workflow of this entity with this signal instead of starting one for each event.
    An event may then arrive twice; its id is in it."""
    temporal_workflow_id_path: PathExpression | None = None
    """A JMESPath into the event for the id of the workflow to signal, such as `data.orderId`."""
    temporal_retention: Seconds = 259_200.0
    """For how long the namespace retains closed workflows, and with them their ids."""
    temporal_api_key: Credential | None = None
    """The API key of a Cloud namespace."""
    temporal_api_key_secret: SecretReference | None = None
    """Where to look the API key up at run time instead, written like the event key's."""
    temporal_tls: bool = False
    """Talk TLS; with an API key or a certificate it is talked anyway."""
    temporal_cert_file: str | None = None
    """The file with the client's certificate, PEM."""
    temporal_key_file: str | None = None
    """The file with its private key, PEM."""
    temporal_ca_file: str | None = None
    """The file with the authority that signed the server's certificate, PEM."""

    prefect_api_url: ApiAddress | None = None
    """Prefect's API, a server's up to `/api` or the Cloud's up to the workspace."""
    prefect_deployment: Deployment | None = None
    """The deployment to run: its id, or `flow/deployment` by names."""
    prefect_parameter: str = "event"
    """The flow's parameter that gets the event."""
    prefect_api_key: Credential | None = None
    """The Cloud's API key; `user:password` is sent as basic authentication."""
    prefect_api_key_secret: SecretReference | None = None
    """Where to look the API key up at run time instead, written like the event key's."""

    argo_url: ApiAddress | None = None
    """The Argo server."""
    argo_namespace: str = "argo"
    """The namespace that workflows are made in."""
    argo_template: str | None = None
    """The WorkflowTemplate that they are made from."""
    argo_cluster_template: bool = False
    """It is a ClusterWorkflowTemplate."""
    argo_parameter: str = "event"
    """The workflow's parameter that gets the event, as JSON text."""
    argo_token: Credential | None = None
    """The token, with or without `Bearer`."""
    argo_token_secret: SecretReference | None = None
    """Where to look the token up at run time instead, written like the event key's."""
    argo_ca_file: str | None = None
    """The file with the authority that signed the server's certificate, PEM."""

    webhook_url: HookAddress | None = None
    """The whole URL. It is kept out of logs and errors, because it often is a secret."""
    webhook_url_secret: SecretReference | None = None
    """Where to look the URL up at run time instead, written like the event key's."""
    webhook_preset: Literal["generic", "zapier", "make", "argo-events"] = "generic"
    """Whose webhook it is."""
    webhook_signing_key: SigningKey | None = None
    """The key that requests are signed with, after Standard Webhooks."""
    webhook_signing_key_old: SigningKey | None = None
    """The key before it, which signs too while receivers change over."""
    webhook_headers: Headers | None = None
    """Headers added to each request, separated by semicolons."""
    webhook_status_rules: Statuses = ""
    """What answers mean, where the preset's rules are not right."""
    webhook_dedup_window: Wait = 86_400.0
    """Seconds for which the receiver knows an `Idempotency-Key` again; 0 if it knows none."""
    webhook_allow_private: bool = False
    """Allow private and link-local addresses."""
    webhook_cert_file: str | None = None
    """The file with the client's certificate, PEM."""
    webhook_key_file: str | None = None
    """The file with its private key, PEM."""
    webhook_ca_file: str | None = None
    """The file with the authority that signed the server's certificate, PEM."""

    bullmq_url: RedisAddress | None = None
    """Redis, with user and password if it needs them."""
    bullmq_queue: JobQueueName | None = None
    """The queue's name."""
    bullmq_prefix: str = "bull"
    """The prefix of its keys, as its workers have it."""
    bullmq_attempts: Count = 1
    """How often a worker tries a job."""
    bullmq_job_retention: Wait = 1_209_600.0
    """Seconds for which finished jobs are kept, and with them their ids; 0 removes them at once,
    and nothing is known again."""
