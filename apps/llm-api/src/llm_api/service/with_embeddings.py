"""A model service that embeds, too."""

import asyncio
from dataclasses import replace

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.embeddings import EmbeddingsRequest
from llm_api.protocol.models import Model
from llm_api.service.embeddings import EmbeddingService
from llm_api.service.model_service import Answer, Embeddings, ModelService, ServiceHealth


class WithEmbeddings:
    """A `ModelService` (llm_api.service.model_service). It is ready when both models are, and fails when one of them does."""

    def __init__(self, generation: ModelService, embeddings: EmbeddingService) -> None:
        self._generation = generation
        self._embeddings = embeddings

    def models(self) -> list[Model]:
        return self._generation.models()

    def embedding_model(self) -> Model | None:
        return self._embeddings.model

    def health(self) -> ServiceHealth:
        generation, embeddings = self._generation.health(), self._embeddings.health()
        worst = next((health for health in (generation, embeddings) if health.phase == "failed" or not health.progressing), None)
        worst = worst or next((health for health in (generation, embeddings) if health.phase == "loading"), generation)
        return replace(worst, max_num_seqs=generation.max_num_seqs)

    def chat(self, request: ChatCompletionRequest) -> Answer[ChatCompletion, ChatCompletionChunk]:
        return self._generation.chat(request)

    def complete(self, request: CompletionRequest) -> Answer[Completion, Completion]:
        return self._generation.complete(request)

    async def embed(self, request: EmbeddingsRequest) -> Embeddings:
        return await self._embeddings.embed(request)

    async def tokenize_chat(self, request: ChatCompletionRequest) -> list[int]:
        return await self._generation.tokenize_chat(request)

    async def tokenize(self, text: str, add_special_tokens: bool) -> list[int]:
        return await self._generation.tokenize(text, add_special_tokens)

    async def detokenize(self, token_ids: list[int]) -> str:
        return await self._generation.detokenize(token_ids)

    async def token_names(self, token_ids: list[int]) -> list[str]:
        return await self._generation.token_names(token_ids)

    async def start(self) -> None:
        await self._generation.start()
        await self._embeddings.start()

    async def wait_failed(self) -> str:
        waits = [asyncio.ensure_future(service.wait_failed()) for service in (self._generation, self._embeddings)]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self) -> None:
        await asyncio.gather(self._generation.stop(), self._embeddings.stop())
