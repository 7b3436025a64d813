"""Text completions: the chunks of a stream, or the whole."""

from collections.abc import Iterator, Sequence

from llm_api.protocol.completions import Completion, CompletionChoice
from llm_api.protocol.response import Usage
from llm_api.service.choice import ChoiceDelta
from llm_api.service.completion_logprobs import completion_logprobs
from llm_api.service.envelope import Envelope
from llm_api.service.fold import WholeChoice
from llm_api.tokenization.tokenizer import Tokenizer


class CompletionAssembly:
    def __init__(self, envelope: Envelope, tokenizer: Tokenizer, logprobs: int | None) -> None:
        self._envelope = envelope
        self._tokenizer = tokenizer
        self._logprobs = logprobs

    def chunks(self, delta: ChoiceDelta) -> Iterator[Completion]:
        yield Completion(choices=[self._choice(delta)], **self._envelope)

    def usage_chunk(self, usage: Usage) -> Completion:
        return Completion(choices=[], usage=usage, **self._envelope)

    def whole(self, choices: Sequence[WholeChoice], usage: Usage) -> Completion:
        return Completion(choices=[self._choice(choice) for choice in choices], usage=usage, **self._envelope)

    def _choice(self, choice: ChoiceDelta | WholeChoice) -> CompletionChoice:
        scored = self._logprobs is not None and (choice.tokens or isinstance(choice, WholeChoice))
        logprobs = completion_logprobs(choice.tokens, self._logprobs or 0, self._tokenizer) if scored else None
        return CompletionChoice(index=choice.index, text=choice.text, logprobs=logprobs, finish_reason=choice.finish_reason)
