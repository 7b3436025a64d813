"""Chat completions: from a conversation to a plan that fits the model, and from deltas to chunks or the whole answer."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from llm_api.chat.control_tokens import control_tokens
from llm_api.chat.plain_text import PlainText, RenderedPrompt
from llm_api.chat.template import ChatTemplate, ChatTemplateError
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
from llm_api.service.choice import IMPOSSIBLE, ChoiceDelta, ScoredToken, finite
from llm_api.service.plan import Plan, Prompt, chat_sampling, check_text_length, check_vocabulary, fit_completion
from llm_api.settings import RequestFields
from llm_api.tokenization.marked_prompt import MarkedPromptEncoder
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class ChatPlanner:
    """Renders and encodes a conversation. Slow for long texts, so it runs off the event loop; threads may share it.

    Raises InvalidRequest if the model cannot take the request.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, fields: RequestFields = "warn") -> None:
        self._fields = fields
        self._tokenizer = tokenizer
        self._template = template
        self._control_tokens = control_tokens(tokenizer.special_tokens, tokenizer.added_tokens, template)
        self._plain_text = PlainText(self._control_tokens, template.prompt)

    def plan(self, request: ChatCompletionRequest, info: EngineInfo) -> Plan:
        messages = [message.model_dump(exclude_none=True) for message in request.messages]
        token_ids = self._encode(self._render(messages), info)
        check_vocabulary(token_ids, self._tokenizer, info.vocab_size, "messages")
        unused = self._unused_names(messages)
        if unused and self._fields == "strict":
            raise _unused_name(unused[0], request)
        limit, cut = request.token_limit, self._fields != "strict"
        max_tokens = fit_completion(len(token_ids), limit, info.max_model_len, "messages", cut=cut)
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, info.vocab_size),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=False,
            keeps_stops=bool(request.include_stop_str_in_output),
            ignored_fields=(*_cut(request, max_tokens), *(f"messages[{position}].name" for position in unused)),
        )

    def _encode(self, prompt: RenderedPrompt, info: EngineInfo) -> list[int]:
        check_text_length(self._tokenizer.least_tokens(prompt.text), info.max_model_len, "messages")
        if prompt.parts is None:
            return self._tokenizer.encode(prompt.text, add_special_tokens=False)
        return self._marked_encoder.encode(prompt.parts)

    @cached_property
    def _marked_encoder(self) -> MarkedPromptEncoder:
        """Made for the first message that needs it, because it takes as much memory as the tokenizer."""
        return self._tokenizer.marked_encoder(self._control_tokens)

    def _render(self, messages: Sequence[Mapping[str, Any]]) -> RenderedPrompt:
        try:
            return self._plain_text.prompt(messages)
        except ChatTemplateError as error:
            raise InvalidRequest(str(error), param="messages") from error

    def _unused_names(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The first message of each role whose `name` the template ignores: the prompt is then the same without it."""
        first_named = {message["role"]: position for position, message in reversed(list(enumerate(messages))) if "name" in message}
        text = self._try(messages) if first_named else None
        return [
            position
            for role, position in first_named.items()
            if self._try([_nameless(message) if message["role"] == role else message for message in messages]) == text
        ]

    def _try(self, messages: Sequence[Mapping[str, Any]]) -> str | None:
        try:
            return self._template.prompt(messages)
        except ChatTemplateError:  # the template requires the name, so it uses it
            return None


def _cut(request: ChatCompletionRequest, max_tokens: int) -> list[str]:
    """The field that asks for more tokens than the context has room for."""
    if request.token_limit is None or request.token_limit <= max_tokens:
        return []
    return ["max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"]


def _unused_name(position: int, request: ChatCompletionRequest) -> InvalidRequest:
    return InvalidRequest(
        f"'messages[{position}].name' is not supported: this model's chat template does not use the name in a"
        f" {request.messages[position].role} message; leave it out, or write it into the content.",
        param=f"messages[{position}].name",
        code="unsupported_parameter",
    )


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


def _nameless(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "name"}
