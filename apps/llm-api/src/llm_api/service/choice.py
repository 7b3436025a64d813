"""One choice of an answer while it is generated: tokens in, text out, up to a stop string."""

from dataclasses import dataclass, field
from typing import Literal

from llm_api.chat.output.parts import OutputPart, joined
from llm_api.engine.messages import SequenceOutput, TokenLogprobs
from llm_api.service.plan import Echo, Plan
from llm_api.tokenization.detokenizer import Detokenizer
from llm_api.tokenization.stop_strings import StopStrings

ChoiceFinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token with its logprobs. `offset` is where it begins in the choice's text. Only a prompt's first token has no logprobs."""

    token_id: int
    offset: int
    logprobs: TokenLogprobs | None


@dataclass(slots=True)
class ChoiceDelta:
    """What a step added to a choice: text, its parts and, if logprobs were requested, the tokens that begin in it."""

    index: int
    text: str
    parts: list[OutputPart] = field(default_factory=list)  # of the text, if the choice has a parser
    tokens: list[ScoredToken] = field(default_factory=list)
    finish_reason: ChoiceFinishReason | None = None
    token_ids: list[int] = field(default_factory=list)  # all new ones, if the request asks for ids
    prompt_logprobs: list[TokenLogprobs | None] = field(default_factory=list)  # in the first delta, if the engine computed them
    stop_reason: str | None = None  # the stop string that ended the choice

    def __bool__(self) -> bool:
        return bool(self.text or self.parts or self.tokens or self.token_ids or self.prompt_logprobs or self.finish_reason)

    def joined(self, later: "ChoiceDelta") -> "ChoiceDelta":
        parts = joined(self.parts + later.parts)
        return ChoiceDelta(
            self.index,
            self.text + later.text,
            parts,
            self.tokens + later.tokens,
            later.finish_reason,
            self.token_ids + later.token_ids,
            self.prompt_logprobs,
            later.stop_reason,
        )


class GrowingChoice:
    """Holds back text that may be the start of a stop string, together with its tokens' logprobs."""

    def __init__(self, index: int, detokenizer: Detokenizer, plan: Plan, echo: Echo | None) -> None:
        self.index = index
        self.finish_reason: ChoiceFinishReason | None = None
        self._detokenizer = detokenizer
        self._stops = StopStrings(plan.stops, included=plan.keeps_stops)
        self._keeps_stops = plan.keeps_stops
        self._min_tokens = plan.sampling.min_tokens
        self._received = 0
        self._returns_token_ids = plan.returns_token_ids
        self._scored = plan.sampling.logprobs is not None
        self._echo = echo
        self._parser = plan.new_parser() if plan.new_parser else None
        self._pending: list[ScoredToken] = []
        self._decoded = self._emitted = len(echo.text) if echo else 0

    @property
    def in_reasoning(self) -> bool:
        return self._parser is not None and self._parser.in_reasoning

    def advance(self, output: SequenceOutput) -> ChoiceDelta:
        """Returns what `output` adds. If only the delta has a `finish_reason`, a stop string ended the choice."""
        delta = ChoiceDelta(self.index, "", prompt_logprobs=output.prompt_logprobs or [])
        if self._returns_token_ids:
            delta.token_ids = output.token_ids
        if self._echo:
            self._begin_with(self._echo, output, delta)
            self._echo = None
        text, stopped = self._push(output)
        if output.finish_reason and not stopped:
            text += self._stops.flush()
        if stopped or output.finish_reason:
            self.finish_reason = delta.finish_reason = "stop" if stopped or output.finish_reason == "stop" else "length"
        delta.stop_reason = self._stops.found if stopped else None
        self._emitted += len(text)
        delta.text += text
        if self._parser:
            delta.parts = joined(self._parser.push(text) + (self._parser.finish() if delta.finish_reason else []))
        delta.tokens += self._release(everything=self.finish_reason is not None and not stopped)
        return delta

    def _push(self, output: SequenceOutput) -> tuple[str, bool]:
        """Stop strings do not end a choice within its first `min_tokens` tokens."""
        self._received += len(output.token_ids)
        text = self._decode(output)
        return self._stops.push(text) if self._received > self._min_tokens else (text, False)

    def _begin_with(self, echo: Echo, output: SequenceOutput, delta: ChoiceDelta) -> None:
        delta.text = echo.text
        if self._scored and output.prompt_logprobs:
            delta.tokens = list(map(ScoredToken, echo.token_ids, echo.offsets, output.prompt_logprobs))

    def _decode(self, output: SequenceOutput) -> str:
        """Decodes the new tokens. The token that ended the sequence is not part of the answer, unless the request keeps it."""
        token_ids = output.token_ids[:-1] if output.finish_reason == "stop" and not self._keeps_stops else output.token_ids
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
