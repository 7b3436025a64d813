"""The responses of /v1/models."""

from typing import Literal

from pydantic import Field

from llm_api.protocol.response import ResponseModel


class Model(ResponseModel):
    """The last four fields are those that clients of vLLM, OpenRouter and older OpenAI clients read."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    max_model_len: int | None = None
    """Tokens of prompt and completion together. Null while the model loads."""
    context_length: int | None = None
    """Another name of max_model_len."""
    root: str
    """The model's own id, also if `id` is an alias."""
    parent: str | None = None
    permission: list[None] = Field(default_factory=list)


class ModelList(ResponseModel):
    object: Literal["list"] = "list"
    data: list[Model]
