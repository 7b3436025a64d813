"""Chat completions: from a conversation to a plan that fits the model, and from deltas to chunks or the whole answer."""

from collections.abc import Iterator, Sequence

from llm_api.chat.template import ChatTemplate
from llm_api.engine.messages import EngineInfo
from llm_api.protocol.chat import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    Delta,
    TokenLogprob,
    TopLogprob,
)
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.response import Usage
from llm_api.service.answer import Envelope, WholeChoice
from llm_api.service.chat_prompt import ChatPrompts, UnusedField
from llm_api.service.choice import IMPOSSIBLE, ChoiceDelta, ScoredToken, finite
from llm_api.service.plan import Plan, Prompt, chat_sampling, fit_completion
from llm_api.settings import RequestFields
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class ChatPlanner:
    """Slow for long texts, so it runs off the event loop; threads may share it.

    Raises InvalidRequest if the model cannot take the request.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, fields: RequestFields = "warn") -> None:
        self._fields = fields
        self._prompts = ChatPrompts(tokenizer, template)

    def plan(self, request: ChatCompletionRequest, info: EngineInfo) -> Plan:
        token_ids = self._prompts.token_ids(request, info.max_model_len)
        unused = self._prompts.unused_fields(request)
        if unused and self._fields == "strict":
            raise _unused_field(unused[0])
        limit, cut = request.token_limit, self._fields != "strict"
        max_tokens = fit_completion(len(token_ids), limit, info.max_model_len, "messages", cut=cut)
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, info.vocab_size),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=bool(request.continue_final_message),
            keeps_stops=bool(request.include_stop_str_in_output),
            ignored_fields=(*_cut(request, max_tokens), *(field.name for field in unused)),
        )


def _cut(request: ChatCompletionRequest, max_tokens: int) -> list[str]:
    """The field that asks for more tokens than the context has room for."""
    if request.token_limit is None or request.token_limit <= max_tokens:
        return []
    return ["max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"]


def _unused_field(field: UnusedField) -> InvalidRequest:
    return InvalidRequest(f"'{field.name}' has no effect: {field.reason}; leave it out.", param=field.name, code="unsupported_parameter")


class ChatAssembly:
    def __init__(self, envelope: Envelope, tokenizer: Tokenizer, scored: bool) -> None:
        self._envelope = envelope
        self._tokenizer = tokenizer
        self._scored = scored
        self._begun: set[int] = set()

    def chunks(self, delta: ChoiceDelta) -> Iterator[ChatCompletionChunk]:
        """Sends the role before a choice's first text, and the finish reason in a separate chunk."""
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            yield self._chunk(ChunkChoice(index=delta.index, delta=Delta(role="assistant", content="")))
        if delta.text or delta.tokens:
            logprobs = _logprobs(delta.tokens, self._tokenizer) if self._scored else None
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
        logprobs = _logprobs(choice.tokens, self._tokenizer) if self._scored else None
        return Choice(index=choice.index, message=AnswerMessage(content=choice.text), logprobs=logprobs, finish_reason=choice.finish_reason)


def _logprobs(tokens: Sequence[ScoredToken], tokenizer: Tokenizer) -> ChoiceLogprobs:
    return ChoiceLogprobs(content=[_token(token, tokenizer) for token in tokens])


def _token(token: ScoredToken, tokenizer: Tokenizer) -> TokenLogprob:
    logprob, top = (token.logprobs.logprob, token.logprobs.top) if token.logprobs else (IMPOSSIBLE, [])
    return TokenLogprob(
        token=tokenizer.token_text(token.token_id),
        logprob=finite(logprob),
        bytes=list(tokenizer.token_bytes(token.token_id)),
        top_logprobs=[
            TopLogprob(token=tokenizer.token_text(other), logprob=finite(value), bytes=list(tokenizer.token_bytes(other)))
            for other, value in top
        ],
    )
