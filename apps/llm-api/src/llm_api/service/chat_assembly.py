"""Chat answers: the chunks of a stream, or the whole."""

from collections.abc import Iterator, Sequence

from llm_api.protocol.chat import AnswerMessage, ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, Delta
from llm_api.protocol.response import Usage
from llm_api.service.chat_logprobs import chat_logprobs
from llm_api.service.choice import ChoiceDelta
from llm_api.service.envelope import Envelope
from llm_api.service.fold import WholeChoice
from llm_api.tokenization.tokenizer import Tokenizer


class ChatAssembly:
    def __init__(self, envelope: Envelope, tokenizer: Tokenizer, scored: bool) -> None:
        self._envelope = envelope
        self._tokenizer = tokenizer
        self._scored = scored
        self._begun: set[int] = set()

    def chunks(self, delta: ChoiceDelta) -> Iterator[ChatCompletionChunk]:
        """The role comes before a choice's first text, the finish reason in a chunk of its own."""
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            yield self._chunk(ChunkChoice(index=delta.index, delta=Delta(role="assistant", content="")))
        if delta.text or delta.tokens:
            logprobs = chat_logprobs(delta.tokens, self._tokenizer) if self._scored else None
            yield self._chunk(ChunkChoice(index=delta.index, delta=Delta(content=delta.text), logprobs=logprobs))
        if delta.finish_reason is not None:
            yield self._chunk(ChunkChoice(index=delta.index, delta=Delta(), finish_reason=delta.finish_reason))

    def usage_chunk(self, usage: Usage) -> ChatCompletionChunk:
        return ChatCompletionChunk(choices=[], usage=usage, **self._envelope)

    def whole(self, choices: Sequence[WholeChoice], usage: Usage) -> ChatCompletion:
        return ChatCompletion(choices=[self._choice(choice) for choice in choices], usage=usage, **self._envelope)

    def _chunk(self, choice: ChunkChoice) -> ChatCompletionChunk:
        return ChatCompletionChunk(choices=[choice], **self._envelope)

    def _choice(self, choice: WholeChoice) -> Choice:
        logprobs = chat_logprobs(choice.tokens, self._tokenizer) if self._scored else None
        return Choice(index=choice.index, message=AnswerMessage(content=choice.text), logprobs=logprobs, finish_reason=choice.finish_reason)
