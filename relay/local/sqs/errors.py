"""SQS's error responses, with the codes of the JSON protocol and of the older query protocol."""

from __future__ import annotations

_SIMPLE = "AWS.SimpleQueueService."

# By JSON protocol code: the query protocol code, which SDKs still show, and the HTTP status. From
# the error traits of the service's model.
_CODES = {
    "BatchEntryIdsNotDistinct": (f"{_SIMPLE}BatchEntryIdsNotDistinct", 400),
    "BatchRequestTooLong": (f"{_SIMPLE}BatchRequestTooLong", 400),
    "EmptyBatchRequest": (f"{_SIMPLE}EmptyBatchRequest", 400),
    "InvalidAddress": ("InvalidAddress", 404),
    "InvalidBatchEntryId": (f"{_SIMPLE}InvalidBatchEntryId", 400),
    "InvalidParameterValueException": ("InvalidParameterValue", 400),
    "InvalidSecurity": ("InvalidSecurity", 403),
    "AccessDeniedException": ("AccessDenied", 403),
    "KmsAccessDenied": ("KMS.AccessDeniedException", 400),
    "KmsDisabled": ("KMS.DisabledException", 400),
    "KmsInvalidKeyUsage": ("KMS.InvalidKeyUsageException", 400),
    "KmsInvalidState": ("KMS.InvalidStateException", 400),
    "KmsNotFound": ("KMS.NotFoundException", 400),
    "KmsOptInRequired": ("KMS.OptInRequired", 403),
    "KmsThrottled": ("KMS.ThrottlingException", 400),
    "MessageNotInflight": (f"{_SIMPLE}MessageNotInflight", 400),
    "MissingRequiredParameterException": ("MissingParameter", 400),
    "OverLimit": ("OverLimit", 403),
    "PurgeQueueInProgress": (f"{_SIMPLE}PurgeQueueInProgress", 403),
    "QueueDeletedRecently": (f"{_SIMPLE}QueueDeletedRecently", 400),
    "QueueDoesNotExist": (f"{_SIMPLE}NonExistentQueue", 400),
    "QueueNameExists": ("QueueAlreadyExists", 400),
    "ReceiptHandleIsInvalid": ("ReceiptHandleIsInvalid", 404),
    "RequestThrottled": ("RequestThrottled", 403),
    "ResourceNotFoundException": ("ResourceNotFoundException", 404),
    "ServiceUnavailable": ("ServiceUnavailable", 503),
    "InternalFailure": ("InternalFailure", 500),
    "TooManyEntriesInBatchRequest": (f"{_SIMPLE}TooManyEntriesInBatchRequest", 400),
    "UnsupportedOperation": (f"{_SIMPLE}UnsupportedOperation", 400),
}
_SERVER_FAULT = 500


class SqsError(Exception):
    """An error response. `code` is the JSON protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.query_code, self.status = _CODES.get(code, (code, 400))

    @property
    def sender_fault(self) -> bool:
        """Whether the request is at fault, so that repeating it is pointless."""
        return self.status < _SERVER_FAULT

    @property
    def query_error(self) -> str:
        """The value of the header `x-amzn-query-error`."""
        return f"{self.query_code};{'Sender' if self.sender_fault else 'Receiver'}"


def invalid(message: str) -> SqsError:
    """An `InvalidParameterValue` with this message."""
    return SqsError("InvalidParameterValueException", message)


def invalid_value(parameter: str, value: object, reason: str) -> SqsError:
    """An `InvalidParameterValue` in SQS's wording for a single parameter."""
    return invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing(parameter: str) -> SqsError:
    """A `MissingParameter` for this parameter."""
    return SqsError(
        "MissingRequiredParameterException", f"The request must contain the parameter {parameter}."
    )


def no_queue() -> SqsError:
    """The error of every action for a queue that does not exist."""
    return SqsError("QueueDoesNotExist", "The specified queue does not exist.")


def bad_handle(handle: str) -> SqsError:
    """The error for a receipt handle that is not this queue's."""
    return SqsError(
        "ReceiptHandleIsInvalid",
        f'The input receipt handle "{handle}" is not a valid receipt handle.',
    )
