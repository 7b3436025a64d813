"""Embeddings as OpenAI has them; scores and ranks as vLLM, Jina and Cohere have them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Tag

from llm_api.protocol.completions import Prompt
from llm_api.protocol.fields import WHOLE, KeptTokens, StrictModel, string_or_array, string_or_object
from llm_api.protocol.response import ResponseModel

ModelName = Annotated[str, Field(min_length=1, max_length=512)]
MAX_INPUTS = 2048
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    Annotated[Text, Tag("<string>")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS // 2, fail_fast=True), Tag("<array>")],
    string_or_array("strings"),
]


class EmbeddingModelRequest(StrictModel):
    model: ModelName
    """The embedding model's id from /v1/models."""


class EmbeddingsRequest(EmbeddingModelRequest):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "all-minilm-l6-v2", "input": ["Kubernetes runs containers.", "Paris is in France."]}]}
    )

    input: Prompt
    """At most 2048 texts or arrays of token ids."""
    encoding_format: Literal["float", "base64"] | None = None
    """base64: of little-endian float32. Default: float."""
    dimensions: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE] | None = None
    """Keep only the first dimensions, normalized again. Only for models that were trained for it."""
    truncate_prompt_tokens: KeptTokens | None = None
    """Keep only this many tokens at the start of each input; -1 keeps what the model takes. Not in OpenAI's API."""
    user: str | None = None
    """Accepted, without effect."""

    @property
    def items(self) -> list[str | list[int]]:
        """The texts, or token ids. More than one item: the input was an array of them."""
        if isinstance(self.input, str) or isinstance(self.input[0], int):
            return [self.input]
        return list(self.input)

    @property
    def paths(self) -> list[str]:
        """The name of each item, for errors."""
        is_list = not isinstance(self.input, str) and not isinstance(self.input[0], int)
        return [f"input[{index}]" for index in range(len(self.input))] if is_list else ["input"]


class Embedding(ResponseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Numbers, or with encoding_format base64 a string."""


class EmbeddingUsage(ResponseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(ResponseModel):
    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class DocumentText(StrictModel):
    text: Text


Document = Annotated[
    Annotated[Text, Tag("<string>")] | Annotated[DocumentText, Tag("<object>")],
    string_or_object("should be a string or an object with 'text'"),
]


class RerankRequest(EmbeddingModelRequest):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "all-minilm-l6-v2", "query": "containers", "documents": ["Kubernetes", "Paris"]}]}
    )

    query: Text
    documents: Annotated[list[Document], Field(min_length=1, max_length=MAX_INPUTS - 1, fail_fast=True)]
    top_n: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    """How many documents to return, the best first. Default and 0: all."""
    return_documents: bool | None = None
    """Default: true."""
    truncate_prompt_tokens: KeptTokens | None = None
    """Keep only this many tokens at the start of each text; -1 keeps what the model takes."""


class RankedDocument(ResponseModel):
    index: int
    document: DocumentText | None = None
    relevance_score: float
    """Cosine of the angle between the embeddings, -1 to 1."""


class TotalTokens(ResponseModel):
    total_tokens: int


class Ranking(ResponseModel):
    id: str
    model: str
    usage: TotalTokens
    results: list[RankedDocument]


class ScoreRequest(EmbeddingModelRequest):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "all-minilm-l6-v2", "text_1": "containers", "text_2": ["Kubernetes", "Paris"]}]}
    )

    text_1: Texts
    """One text, which is compared with each of text_2, or as many as text_2."""
    text_2: Texts
    truncate_prompt_tokens: KeptTokens | None = None
    """Keep only this many tokens at the start of each text; -1 keeps what the model takes."""


class Score(ResponseModel):
    index: int
    object: Literal["score"] = "score"
    score: float
    """Cosine of the angle between the embeddings, -1 to 1."""


class ScoreList(ResponseModel):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Score]
    usage: EmbeddingUsage
