"""What chat and text completions have in common: how tokens are chosen, when to stop, how the answer is sent.

Every field may be null, which means absent. Ranges are OpenAI's where OpenAI has the field.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError


def whole_number(value: Any) -> Any:
    """JSON knows no integers: 1.0 is one too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(whole_number)
Penalty = Annotated[float, Field(ge=-2, le=2)]


def token_key(value: Any) -> Any:
    """JSON's keys are strings, and int() would also take " 5", "+5", "1_0" and "0005"."""
    if isinstance(value, str) and TOKEN_KEY.fullmatch(value):
        return int(value)
    raise PydanticCustomError("token_key", "keys must be token ids, such as 50256")


TOKEN_KEY = re.compile("0|[1-9][0-9]{0,9}", re.ASCII)
BiasedToken = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(token_key)]
Bias = Annotated[float, Field(ge=-100, le=100)]
StopString = Annotated[str, Field(min_length=1)]
MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


def json_kind(value: Any) -> str | None:
    """Chooses a union's branch by the JSON type, so that an error speaks of one branch only."""
    if isinstance(value, str):
        return "<string>"
    return "<array>" if isinstance(value, list | tuple) else None


def string_or_array(array: str) -> Discriminator:
    return Discriminator(json_kind, custom_error_type="invalid_type", custom_error_message=f"should be a string or an array of {array}")


def invalid(param: str, message: str, code: str = "invalid_value") -> PydanticCustomError:
    """An error about how fields fit together; `param` names the one to change."""
    return PydanticCustomError("inconsistent", "{reason}", {"param": param, "reason": message, "code": code})


def only_with(field: str, kind: str, switch: str) -> JsonDict:
    """For a JSON schema: `field` may be other than null (of the type `kind`) only beside a true `switch`."""
    return {
        "if": {"properties": {field: {"type": kind}}, "required": [field]},
        "then": {"properties": {switch: {"const": True}}, "required": [switch]},
    }


STREAM_OPTIONS_NEED_STREAM = only_with("stream_options", "object", "stream")


class StrictModel(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class StreamOptions(StrictModel):
    include_usage: bool | None = None
    """Send the token counts in a last chunk before [DONE]."""
    include_obfuscation: bool | None = None
    """Accepted, without effect."""


class GenerationRequest(StrictModel):
    model: Annotated[str, Field(min_length=1, max_length=512)]
    """Model id, as /v1/models lists it."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128), WHOLE] | None = None
    """How many choices to make."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 always takes the most likely token."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    """Choose among the k most likely tokens; 0 is all. Not in OpenAI's API."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Drop tokens less likely than this share of the most likely one's probability. Not in OpenAI's API."""
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10)] | None = None
    """Divides the scores of tokens already in prompt or completion; 1 is off. Not in OpenAI's API."""
    logit_bias: (
        Annotated[dict[BiasedToken, Bias], Field(json_schema_extra={"propertyNames": {"pattern": "^(0|[1-9][0-9]{0,8})$"}})] | None
    ) = None
    """Token ids and what to add to their scores."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = None
    stop: (
        Annotated[
            Annotated[StopString, Tag("<string>")]
            | Annotated[list[StopString], Field(min_length=1, max_length=4, fail_fast=True), Tag("<array>")],
            string_or_array("1 to 4 strings"),
        ]
        | None
    ) = None
    """Texts that end the completion; never part of it."""
    ignore_eos: bool | None = None
    """Go on after the end-of-text token, up to max_tokens. Not in OpenAI's API."""
    user: str | None = None
    """Accepted, without effect."""
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    """Accepted, without effect."""
    service_tier: Literal["auto", "default"] | None = None
    """Accepted, without effect."""
    safety_identifier: str | None = None
    """Accepted, without effect."""
    prompt_cache_key: str | None = None
    """Accepted, without effect: equal prompt beginnings are reused whatever the key."""

    @model_validator(mode="after")
    def _stream_options_need_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise invalid("stream_options", "is only allowed when 'stream' is true")
        return self

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def sequences(self) -> int:
        """How many sequences this request makes in the engine."""
        return self.n or 1
