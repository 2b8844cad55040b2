"""The Query protocol: a request is a form, a response is XML, by the model of the service."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

import msgspec
from botocore.loaders import Loader  # type: ignore[import-untyped] # it ships no types
from botocore.model import ServiceModel, Shape  # type: ignore[import-untyped] # the same

from relay.local.sqs.errors import SqsError, invalid_value

Form: TypeAlias = Mapping[str, str]
_Tree: TypeAlias = dict[str, Any]  # a form by the parts of its names: {"Attribute": {"1": {…}}}

NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
UNKNOWN_OPERATION = b"<UnknownOperationException/>"  # the response to no action at all
_HEAD = '<?xml version="1.0"?>'
_XMLNS = f"xmlns={quoteattr(NAMESPACE)}"
_ENTITIES = {"\r": "&#xD;", '"': "&quot;"}  # a bare carriage return would be read as a line feed
_MESSAGES = {"QueueDoesNotExist": "The specified queue does not exist for this wsdl version."}
_NUMBERS = {"integer", "long"}
# SQS rejects these at the URL of a queue.
_OF_THE_ACCOUNT = {"CreateQueue", "ListQueues"}
# Since 1.31.81, botocore's model describes the JSON protocol only. It lacks the names that results,
# lists and maps have in the Query protocol. A list is named after its shape (`MessageList`:
# `Message.1`), except for these.
_LISTS = {
    "BinaryList": "BinaryListValue",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "StringList": "StringListValue",
}
# A map is a list of pairs (`Attribute.1.Name`, `Attribute.1.Value`).
_MAPS = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
    "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
    "QueueAttributeMap": ("Attribute", "Name", "Value"),
    "TagMap": ("Tag", "Key", "Value"),
}


@functools.cache
def query_model() -> ServiceModel:
    """The model, loaded by the first request that needs it."""
    return ServiceModel(query_description(), "sqs")


def query_description() -> dict[str, Any]:
    """Describe the service as botocore does, with the Query protocol's names."""
    # A copy: what a loader returns may be the model of every client of the process.
    description: dict[str, Any] = copy.deepcopy(Loader().load_service_model("sqs", "service-2"))
    description["metadata"] |= {"protocol": "query", "protocols": ["query"]}
    description["metadata"]["xmlNamespace"] = NAMESPACE
    for name, shape in description["shapes"].items():
        if shape["type"] == "list":
            shape["member"]["locationName"] = _LISTS.get(name, name.removesuffix("List"))
        elif shape["type"] == "map":
            shape["locationName"], key, value = _MAPS[name]
            shape["key"]["locationName"], shape["value"]["locationName"] = key, value
    for name, operation in description["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    return description


def read_form(query_string: bytes, body: bytes) -> dict[str, str]:
    """The fields of a request, from its address and from its body."""
    pairs: list[tuple[str, str]] = []
    for part in (query_string, body):
        pairs += parse_qsl(part.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


def read_action(form: Form, path: str) -> str:
    """The action that the form names.

    Raises:
        SqsError: InvalidAction, when SQS has no such action at this path.
    """
    action = form["Action"]
    known = action in query_model().operation_names
    if not known or (action in _OF_THE_ACCOUNT and path.strip("/")):
        raise SqsError("InvalidAction", f"The action {action} is not valid for this endpoint.")
    return action


def read_parameters(action: str, form: Form, path: str) -> dict[str, Any]:
    """The parameters of an action as the JSON protocol has them.

    Without a `QueueUrl` the path is the queue's: old SDKs send a request to the queue's own URL.

    Raises:
        SqsError: for text where a number belongs.
    """
    tree: _Tree = {}
    for name, value in form.items():
        *parents, last = name.split(".")
        node = tree
        for parent in parents:
            below = node.setdefault(parent, {})
            node = below if isinstance(below, dict) else {}
        node[last] = value
    shape = query_model().operation_model(action).input_shape
    parameters = _read_structure(shape, tree)
    if "QueueUrl" in shape.members:
        parameters.setdefault("QueueUrl", path)
    return parameters


def _read_structure(shape: Shape, tree: _Tree) -> dict[str, Any]:
    found = {
        name: _read(name, member, tree.get(_wire_name(name, member)))
        for name, member in shape.members.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _read(name: str, shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    if shape.type_name == "structure":
        return _read_structure(shape, _tree(value))
    if shape.type_name == "list":
        return [_read(name, shape.member, item) for item in _items(value)]
    if shape.type_name == "map":
        return dict(_read_pair(shape, _tree(item)) for item in _items(value))
    return _number(name, value) if shape.type_name in _NUMBERS else value


def _read_pair(shape: Shape, pair: _Tree) -> tuple[str, Any]:
    key, value = shape.key.serialization["name"], shape.value.serialization["name"]
    return pair.get(key, ""), _read(key, shape.value, pair.get(value, ""))


def _tree(value: Any) -> _Tree:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    """The members of a list, in the order of their numbers."""
    numbered = [(int(number), item) for number, item in _tree(value).items() if number.isdecimal()]
    return [item for _, item in sorted(numbered, key=lambda pair: pair[0])]


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise invalid_value(name, text, "Must be an integer.") from error


def _wire_name(name: str, shape: Shape) -> str:
    """What a member is called on the wire; lists and maps have names of their own."""
    if shape.type_name == "list":
        return str(shape.member.serialization["name"])
    return str(shape.serialization.get("name", name))


def encode_answer(action: str, answer: Mapping[str, Any] | None, request_id: str) -> bytes:
    """A response."""
    shape = query_model().operation_model(action).output_shape
    plain: dict[str, Any] = msgspec.to_builtins(answer or {})  # bytes become base64, as in JSON
    result = ""
    if shape is not None:
        result = _element(shape.serialization["resultWrapper"], "".join(_members(shape, plain)))
    metadata = _element("ResponseMetadata", _element("RequestId", request_id))
    return f"{_HEAD}<{action}Response {_XMLNS}>{result}{metadata}</{action}Response>".encode()


def encode_error(error: SqsError, request_id: str) -> bytes:
    """An error response, with the code that the error has in this protocol."""
    kind = "Sender" if error.sender_fault else "Receiver"
    described = (
        _element("Type", kind)
        + _element("Code", escape(error.query_code))
        + _element("Message", escape(_MESSAGES.get(error.code, error.message)))
        + "<Detail/>"
    )
    content = _element("Error", described) + _element("RequestId", request_id)
    return f"{_HEAD}<ErrorResponse {_XMLNS}>{content}</ErrorResponse>".encode()


def _members(shape: Shape, values: Mapping[str, Any]) -> Iterator[str]:
    for name, member in shape.members.items():
        if name in values:
            yield from _elements(_wire_name(name, member), member, values[name])


def _elements(name: str, shape: Shape, value: Any) -> Iterator[str]:
    """An element, or one for each member of a list or map."""
    if shape.type_name == "list":
        for item in value:
            yield from _elements(name, shape.member, item)
    elif shape.type_name == "map":
        key, content = shape.key.serialization["name"], shape.value.serialization["name"]
        for item in value:
            pair = [*_elements(key, shape.key, item), *_elements(content, shape.value, value[item])]
            yield _element(name, "".join(pair))
    elif shape.type_name == "structure":
        yield _element(name, "".join(_members(shape, value)))
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield _element(name, escape(text, _ENTITIES))


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>" if content else f"<{name}/>"
