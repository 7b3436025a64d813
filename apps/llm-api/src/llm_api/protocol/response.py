"""The base of every response model, and the token counts of a response."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ResponseModel(BaseModel):
    """In JSON schemas a field is required when it is always sent, even if it has a default."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class PromptTokensDetails(ResponseModel):
    cached_tokens: int = 0


class CompletionTokensDetails(ResponseModel):
    reasoning_tokens: int = 0


class Usage(ResponseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails = Field(default_factory=PromptTokensDetails)
    completion_tokens_details: CompletionTokensDetails = Field(default_factory=CompletionTokensDetails)

    @classmethod
    def of(cls, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, reasoning_tokens: int = 0) -> "Usage":
        return cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=prompt_tokens + completion_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=cached_tokens),
            completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning_tokens),
        )


LEAST_LOGPROB = -9999.0  # OpenAI's substitute for minus infinity, which JSON lacks


def finite(logprob: float) -> float:
    return logprob if LEAST_LOGPROB < logprob < math.inf else LEAST_LOGPROB


class PromptLogprob(ResponseModel):
    """`logprob` is always finite: -9999.0 stands for a probability of 0. `rank` is 1 for the most likely token."""

    logprob: float
    rank: int
    decoded_token: str


PromptLogprobs = list[dict[str, PromptLogprob] | None]
"""For each prompt token the token itself and its alternatives, by token id. Null for the first token, which has none."""


def is_none(value: object) -> bool:
    """For fields that are left out instead of sent as null."""
    return value is None


def without_usage(schema: dict[str, Any]) -> None:
    """Changes the JSON schema of a chunk: `usage` is not required, because the API leaves it out by default."""
    schema["required"].remove("usage")
