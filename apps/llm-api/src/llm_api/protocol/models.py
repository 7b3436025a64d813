"""Models as /v1/models lists them."""

from typing import Literal

from llm_api.protocol.response import AnswerModel


class Model(AnswerModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    max_model_len: int | None = None


class ModelList(AnswerModel):
    object: Literal["list"] = "list"
    data: list[Model]
