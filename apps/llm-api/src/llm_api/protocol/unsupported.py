"""Fields of the OpenAI API that this server refuses by name: dropping them silently would change what clients get."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


def _refuse(value: Any) -> None:
    if value is not None:
        raise PydanticCustomError("unsupported_parameter", "is not supported by this server; leave it out")


Unsupported = Annotated[None, BeforeValidator(_refuse)]


def _refuse_items(value: Any) -> None:
    if value not in (None, []):
        raise PydanticCustomError("unsupported_parameter", "is only supported empty")


OnlyEmpty = Annotated[None, BeforeValidator(_refuse_items), WithJsonSchema({"type": ["array", "null"], "maxItems": 0})]
"""An array that answers carry empty, and clients send back so."""


def _refuse_true(value: bool) -> bool:
    if value:
        raise PydanticCustomError("unsupported_parameter", "is only supported as false")
    return value


OnlyFalse = Annotated[bool, AfterValidator(_refuse_true), WithJsonSchema({"type": "boolean", "const": False})]
