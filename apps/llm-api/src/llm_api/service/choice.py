"""One choice of an answer while it is generated: tokens in, text out, up to a stop string."""

from dataclasses import dataclass, field
from typing import Literal

from llm_api.engine.messages import SequenceOutput, TokenLogprobs
from llm_api.service.plan import Echo
from llm_api.tokenization.detokenizer import Detokenizer
from llm_api.tokenization.stop_strings import StopStrings

ChoiceFinishReason = Literal["stop", "length"]

IMPOSSIBLE = -9999.0  # OpenAI's substitute for minus infinity, which JSON lacks


def finite(logprob: float) -> float:
    return max(logprob, IMPOSSIBLE)


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token with its logprobs. `offset` is where it begins in the choice's text. Only a prompt's first token has no logprobs."""

    token_id: int
    offset: int
    logprobs: TokenLogprobs | None


@dataclass(slots=True)
class ChoiceDelta:
    """What a step added to a choice: text and, if logprobs were requested, the tokens that begin in it."""

    index: int
    text: str
    tokens: list[ScoredToken] = field(default_factory=list)
    finish_reason: ChoiceFinishReason | None = None

    def __bool__(self) -> bool:
        return bool(self.text or self.tokens or self.finish_reason)

    def joined(self, later: "ChoiceDelta") -> "ChoiceDelta":
        return ChoiceDelta(self.index, self.text + later.text, self.tokens + later.tokens, later.finish_reason)


class GrowingChoice:
    """Holds back text that may be the start of a stop string, together with its tokens' logprobs."""

    def __init__(self, index: int, detokenizer: Detokenizer, stops: StopStrings, scored: bool, echo: Echo | None) -> None:
        self.index = index
        self.finish_reason: ChoiceFinishReason | None = None
        self._detokenizer = detokenizer
        self._stops = stops
        self._scored = scored
        self._echo = echo
        self._pending: list[ScoredToken] = []
        self._decoded = self._emitted = len(echo.text) if echo else 0

    def advance(self, output: SequenceOutput) -> ChoiceDelta:
        """Returns what `output` adds. If only the delta has a `finish_reason`, a stop string ended the choice."""
        delta = ChoiceDelta(self.index, "")
        if self._echo:
            self._begin_with(self._echo, output, delta)
            self._echo = None
        text, stopped = self._stops.push(self._decode(output))
        if output.finish_reason and not stopped:
            text += self._stops.flush()
        if stopped or output.finish_reason:
            self.finish_reason = delta.finish_reason = "stop" if stopped or output.finish_reason == "stop" else "length"
        self._emitted += len(text)
        delta.text += text
        delta.tokens += self._release(everything=self.finish_reason is not None and not stopped)
        return delta

    def _begin_with(self, echo: Echo, output: SequenceOutput, delta: ChoiceDelta) -> None:
        delta.text = echo.text
        if self._scored and output.prompt_logprobs:
            delta.tokens = list(map(ScoredToken, echo.token_ids, echo.offsets, output.prompt_logprobs))

    def _decode(self, output: SequenceOutput) -> str:
        """Decodes the new tokens. The end-of-text token has no text and is not part of the answer."""
        token_ids = output.token_ids[:-1] if output.finish_reason == "stop" else output.token_ids
        text = self._score_all(token_ids, output.logprobs or []) if self._scored else self._detokenizer.push(token_ids)
        return text + self._detokenizer.flush() if output.finish_reason else text

    def _score_all(self, token_ids: list[int], logprobs: list[TokenLogprobs]) -> str:
        return "".join(map(self._score, token_ids, logprobs))

    def _score(self, token_id: int, logprobs: TokenLogprobs) -> str:
        self._pending.append(ScoredToken(token_id, self._decoded, logprobs))
        text = self._detokenizer.push([token_id])
        self._decoded += len(text)
        return text

    def _release(self, everything: bool) -> list[ScoredToken]:
        """Returns the pending tokens that begin before the text that is still held back."""
        count = 0
        for token in self._pending:
            if token.offset >= self._emitted and not everything:
                break
            count += 1
        released, self._pending = self._pending[:count], self._pending[count:]
        return released
