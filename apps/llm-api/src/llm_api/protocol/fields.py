"""Field types of request models, and their validators."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, WithJsonSchema
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

TOKEN_KEY = re.compile("0|[1-9][0-9]{0,9}", re.ASCII)


class StrictModel(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


def _whole_number(value: Any) -> Any:
    """JSON has no integer type, so 1.0 is accepted as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _whole_numbers(value: Any) -> Any:
    return [_whole_number(item) for item in value] if isinstance(value, list) and float in set(map(type, value)) else value


def _token_key(value: Any) -> Any:
    """JSON keys are strings. int() would also accept " 5", "+5", "1_0" and "0005"."""
    if isinstance(value, str) and TOKEN_KEY.fullmatch(value):
        return int(value)
    raise PydanticCustomError("token_key", "keys must be token ids, such as 50256")


def _refuse(value: Any) -> None:
    if value is not None:
        raise PydanticCustomError("unsupported_parameter", "is not supported by this server; leave it out")


def ineffective() -> PydanticCustomError:
    """An error about a field without effect: REQUEST_FIELDS decides whether the request is refused or served without the field."""
    return PydanticCustomError("ineffective_parameter", "has no effect on this server")


def _ignore(value: Any) -> None:
    if value is not None:
        raise ineffective()


def _ignore_items(value: Any) -> None:
    if value not in (None, []):
        raise ineffective()


def _ignore_true(value: bool) -> bool:
    if value:
        raise ineffective()
    return value


def _not_zero(value: int) -> int:
    if value == 0:
        raise PydanticCustomError("zero", "must be -1, or at least 1")
    return value


WHOLE = BeforeValidator(_whole_number)
WHOLE_ITEMS = BeforeValidator(_whole_numbers)
Penalty = Annotated[float, Field(ge=-2, le=2)]
KeptTokens = Annotated[int, Field(ge=-1, le=2**31 - 1, json_schema_extra={"not": {"const": 0}}), AfterValidator(_not_zero), WHOLE]
TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
BiasedToken = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_token_key)]
Bias = Annotated[float, Field(ge=-100, le=100)]
MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]

Unsupported = Annotated[None, BeforeValidator(_refuse)]
"""A field of the OpenAI API that this server refuses by name: ignoring it would silently change the completion."""
Ineffective = Annotated[None, BeforeValidator(_ignore)]
"""A field of the OpenAI API that cannot change what this server generates."""
IneffectiveItems = Annotated[None, BeforeValidator(_ignore_items), WithJsonSchema({"type": ["array", "null"], "maxItems": 0})]
"""As `Ineffective`, but clients also send it empty."""
IneffectiveTrue = Annotated[bool, AfterValidator(_ignore_true), WithJsonSchema({"type": "boolean", "const": False})]


def string_or_array(array: str) -> Discriminator:
    return Discriminator(_json_kind, custom_error_type="invalid_type", custom_error_message=f"should be a string or an array of {array}")


def string_or_object(message: str) -> Discriminator:
    """`message`: what the value should be."""
    return Discriminator(_text_or_object, custom_error_type="invalid_type", custom_error_message=message)


def _text_or_object(value: Any) -> str | None:
    if isinstance(value, str):
        return "<string>"
    return "<object>" if isinstance(value, dict) else None


def by_type(supported: str, default: str | None = None) -> Discriminator:
    """Chooses a union's branch by the object's `type`. `supported`: the types. `default`: for objects without a type."""
    return Discriminator(
        lambda value: f"<{value.get('type', default)}>" if isinstance(value, dict) else None,
        custom_error_type="unsupported_item",
        custom_error_message=f"this server supports {supported}",
    )


def _json_kind(value: Any) -> str | None:
    """Chooses a union's branch by the JSON type, so that an error is about one branch only."""
    if isinstance(value, str):
        return "<string>"
    return "<array>" if isinstance(value, list | tuple) else None


def invalid(param: str, message: str, code: str = "invalid_value") -> PydanticCustomError:
    """An error about fields that do not fit together. `param` names the field to change."""
    return PydanticCustomError("inconsistent", "{reason}", {"param": param, "reason": message, "code": code})


def only_with(field: str, kind: str, switch: str) -> JsonDict:
    """Part of a JSON schema: if `field` is not null (has the type `kind`), `switch` must be true."""
    return {
        "if": {"properties": {field: {"type": kind}}, "required": [field]},
        "then": {"properties": {switch: {"const": True}}, "required": [switch]},
    }
