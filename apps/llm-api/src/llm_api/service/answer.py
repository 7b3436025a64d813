"""An answer from a generation, whole or in chunks: both are made of the same deltas."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from llm_api.protocol.response import Usage
from llm_api.service.choice import ChoiceDelta
from llm_api.service.fold import Fold, WholeChoice
from llm_api.service.sequences import Generation

Whole_co = TypeVar("Whole_co", covariant=True)
Chunk_co = TypeVar("Chunk_co", covariant=True)


class Assembly(Protocol[Whole_co, Chunk_co]):
    """How one endpoint writes an answer."""

    def chunks(self, delta: ChoiceDelta) -> Iterator[Chunk_co]: ...

    def usage_chunk(self, usage: Usage) -> Chunk_co: ...

    def whole(self, choices: Sequence[WholeChoice], usage: Usage) -> Whole_co: ...


class Answer(Generic[Whole_co, Chunk_co]):
    def __init__(self, generation: Generation, assembly: Assembly[Whole_co, Chunk_co]) -> None:
        self._generation = generation
        self._assembly = assembly

    async def whole(self) -> Whole_co:
        fold = Fold(self._generation.plan.sequences)
        async with aclosing(self._generation.deltas()) as steps:
            async for deltas in steps:
                for delta in deltas:
                    fold.add(delta)
        return self._assembly.whole(fold.choices, self._generation.record.usage)

    async def chunks(self, include_usage: bool) -> AsyncGenerator[Chunk_co]:
        async with aclosing(self._generation.deltas()) as steps:
            async for deltas in steps:
                for delta in deltas:
                    for chunk in self._assembly.chunks(delta):
                        yield chunk
        if include_usage:
            yield self._assembly.usage_chunk(self._generation.record.usage)
