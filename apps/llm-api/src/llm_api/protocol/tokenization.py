"""Texts to token ids and back, in vLLM's shapes."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_messages import Message
from llm_api.protocol.fields import WHOLE_ITEMS, StrictModel, TokenId, invalid
from llm_api.protocol.response import ResponseModel
from llm_api.protocol.tools import Tools

MAX_TOKENS = 1_000_000
ModelName = Annotated[str, Field(min_length=1, max_length=512)]
OF_A_CONVERSATION = ("add_generation_prompt", "continue_final_message", "chat_template_kwargs", "tools")


class TokenizeRequest(StrictModel):
    """Exactly one of prompt and messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "smollm2-135m-instruct", "prompt": "Kubernetes is"}],
            "oneOf": [
                {
                    "required": ["prompt"],
                    "properties": {"prompt": {"type": "string"}, **{key: {"type": "null"} for key in ("messages", *OF_A_CONVERSATION)}},
                },
                {"required": ["messages"], "properties": {"messages": {"type": "array"}, "prompt": {"type": "null"}}},
            ],
        }
    )

    model: ModelName | None = None
    """A model id from /v1/models. Default: the first."""
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)] | None = None
    add_special_tokens: bool | None = None
    """Add the tokens that the tokenizer puts around a text. Default: true for a prompt, false for messages."""
    return_token_strs: bool | None = None
    """Return the tokens as the vocabulary writes them, too."""
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: Annotated[dict[str, JsonValue], Field(max_length=32)] | None = None
    tools: Tools | None = None

    @model_validator(mode="after")
    def _prompt_or_messages(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise invalid("prompt", "or 'messages' is required, and not both", code="missing_required_parameter")
        if self.messages is None:
            for field in OF_A_CONVERSATION:
                if getattr(self, field) is not None:
                    raise invalid(field, "needs 'messages'")
        return self

    def chat_request(self, model: str) -> ChatCompletionRequest:
        """Raises ValidationError for fields that do not fit together."""
        fields = {name: getattr(self, name) for name in ("messages", "add_special_tokens", *OF_A_CONVERSATION)}
        return ChatCompletionRequest.model_validate({"model": model, **fields})


class TokenizeResponse(ResponseModel):
    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(StrictModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "smollm2-135m-instruct", "tokens": [28, 9]}]})

    model: ModelName | None = None
    """A model id from /v1/models. Default: the first."""
    tokens: Annotated[list[TokenId], Field(max_length=MAX_TOKENS, fail_fast=True), WHOLE_ITEMS]


class DetokenizeResponse(ResponseModel):
    prompt: str
    """With the text of special tokens."""
