"""The event API in front of the queue: takes what Inngest's SDKs send and publishes it to SQS."""
