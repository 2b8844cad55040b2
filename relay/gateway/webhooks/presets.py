"""The senders that are known by name. Each entry follows what its sender documents."""

from __future__ import annotations

from collections.abc import Mapping

from relay.gateway.webhooks.sources import Challenge, Signature, Source

STANDARD = Source(
    signature=Signature(
        header="webhook-signature",
        label="v1",
        assign=",",
        separator=" ",
        signed="{id}.{time}.{body}",
        encoding="base64",
        key="base64",
        time="header:webhook-timestamp",
        id="header:webhook-id",
    ),
    type=("body:type",),
    id="header:webhook-id",
)
"""https://www.standardwebhooks.com"""

PRESETS: Mapping[str, Source] = {
    "standard-webhooks": STANDARD,
    # https://docs.svix.com/receiving/verifying-payloads/how-manual: the same under other names.
    "svix": Source(
        signature=Signature(
            header="svix-signature",
            label="v1",
            assign=",",
            separator=" ",
            signed="{id}.{time}.{body}",
            encoding="base64",
            key="base64",
            time="header:svix-timestamp",
            id="header:svix-id",
        ),
        type=("body:type",),
        id="header:svix-id",
    ),
    # https://docs.stripe.com/webhooks#verify-manually
    "stripe": Source(
        signature=Signature(
            header="stripe-signature",
            label="v1",
            separator=",",
            signed="{time}.{body}",
            time="label:t",
        ),
        type=("body:type",),
        id="body:id",
    ),
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    "github": Source(
        signature=Signature(header="x-hub-signature-256", label="sha256"),
        type=("header:X-GitHub-Event", "body:action"),
        id="header:X-GitHub-Delivery",
        headers=("x-github-event", "x-github-delivery", "x-github-hook-id"),
        form_json="payload",
    ),
    # https://docs.gitlab.com/user/project/integrations/webhooks/: the header is the secret.
    "gitlab": Source(
        signature=Signature(header="x-gitlab-token", hashes=(), signed=""),
        type=("body:object_kind",),
        id="header:Idempotency-Key",
        headers=("x-gitlab-event", "x-gitlab-instance"),
    ),
    # https://shopify.dev/docs/apps/build/webhooks/subscribe/https
    "shopify": Source(
        signature=Signature(header="x-shopify-hmac-sha256", encoding="base64"),
        type=("header:X-Shopify-Topic",),
        id="header:X-Shopify-Webhook-Id",
        headers=("x-shopify-topic", "x-shopify-shop-domain", "x-shopify-api-version"),
    ),
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    "slack": Source(
        signature=Signature(
            header="x-slack-signature",
            label="v0",
            signed="v0:{time}:{body}",
            time="header:X-Slack-Request-Timestamp",
        ),
        type=("body:event.type",),
        id="body:event_id",
        form_json="payload",
        challenge=Challenge(when="body:type", equals="url_verification", answer="body:challenge"),
    ),
    # https://www.twilio.com/docs/usage/webhooks/webhooks-security. JSON bodies are covered by a
    # digest in the signed address, forms by their fields.
    "twilio": Source(
        signature=Signature(
            header="x-twilio-signature",
            signed="{url}{form}",
            hashes=("sha1", "sha256"),
            encoding="base64",
            body_digest="query:bodySHA256",
        ),
        type=("body:EventType", "body:MessageStatus", "body:CallStatus", "body:SmsStatus"),
        id="header:I-Twilio-Idempotency-Token",
        headers=("i-twilio-idempotency-token",),
    ),
    # https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    "meta": Source(
        signature=Signature(header="x-hub-signature-256", label="sha256"),
        type=("body:object",),
        challenge=Challenge(
            when="query:hub.mode",
            equals="subscribe",
            answer="query:hub.challenge",
            token="query:hub.verify_token",  # noqa: S106 - a place in the request
        ),
    ),
}
