"""The actions and their parameters are those of botocore's model of the service."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from botocore.loaders import Loader  # type: ignore[import-untyped] # it ships no types
from botocore.model import ServiceModel, Shape  # type: ignore[import-untyped] # the same

from relay.local.sqs.actions import ACTIONS

MODEL = ServiceModel(Loader().load_service_model("sqs", "service-2"), "sqs")
# SQS names these itself when they are missing, each in its own words.
CHECKED_LATER = {"Entries"}


def test_there_is_an_action_for_every_operation() -> None:
    assert set(ACTIONS) == set(MODEL.operation_names)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_parameters_of_an_action_are_the_model_s(action: str) -> None:
    _compare(ACTIONS[action]._decoder.type, MODEL.operation_model(action).input_shape)


def _compare(struct: Any, shape: Shape) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    assert set(fields) == set(shape.members)
    required = {name for name, field in fields.items() if field.required}
    assert required == set(shape.required_members) - CHECKED_LATER
    for name, member in shape.members.items():
        described = msgspec.inspect.type_info(fields[name].type)
        _compare_type(_plain(described), member)


def _plain(described: Any) -> Any:
    """The type of an optional field, when it is given."""
    if isinstance(described, msgspec.inspect.UnionType):
        [described] = [t for t in described.types if not isinstance(t, msgspec.inspect.NoneType)]
    return described


def _compare_type(described: Any, shape: Shape) -> None:
    if shape.type_name == "structure":
        _compare(described.cls, shape)
    elif shape.type_name == "list":
        _compare_type(_plain(described.item_type), shape.member)
    elif shape.type_name == "map":
        _compare_type(_plain(described.value_type), shape.value)
    else:
        name = type(described).__name__.removesuffix("Type").lower()
        assert {"str": "string", "int": "integer", "bytes": "blob"}[name] == shape.type_name
