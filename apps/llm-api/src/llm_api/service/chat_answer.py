"""Chat completions: from the parts of an answer to chunks, or to the whole answer."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from llm_api.chat.output.parts import Content, OutputPart, Reasoning, ToolCallArguments, ToolCallStart
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    Delta,
    FinishReason,
    FunctionCall,
    FunctionCallDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    TopLogprob,
)
from llm_api.protocol.response import LEAST_LOGPROB, Usage, finite
from llm_api.service.answer import Envelope, WholeChoice
from llm_api.service.choice import ChoiceDelta, ScoredToken
from llm_api.service.token_details import TokenDetails
from llm_api.tokenization.tokenizer import Tokenizer


class _Named(TypedDict):
    token: str
    logprob: float
    bytes: list[int]


class ChatAssembly:
    def __init__(self, envelope: Envelope, tokenizer: Tokenizer, details: TokenDetails, request: ChatCompletionRequest) -> None:
        self._envelope = envelope
        self._tokenizer = tokenizer
        self._details = details
        self._scored = bool(request.logprobs)
        self._has_functions = bool(request.functions)
        rule = request.call_rule
        self._calls_are_named = rule is not None and rule.mode == "named"
        self._begun: set[int] = set()
        self._calling: set[int] = set()

    def chunks(self, delta: ChoiceDelta) -> Iterator[ChatCompletionChunk]:
        """Sends the role before a choice's first text, each part in a chunk of its own, and the finish reason in the last chunk.

        Logprobs and token ids come with the first part of a step, or with an empty text.
        """
        index = delta.index
        if index not in self._begun:
            self._begun.add(index)
            first = self._chunk(ChunkChoice(index=index, delta=Delta(role="assistant", content="")))
            yield first.model_copy(update={"prompt_token_ids": self._details.prompt_token_ids(index)})
        token_ids = self._details.token_ids(delta.token_ids)
        logprobs = self._logprobs(delta.tokens) if self._scored and (delta.parts or delta.tokens) else None
        for part in delta.parts or ([Content("")] if delta.tokens or delta.token_ids else []):
            if isinstance(part, ToolCallStart):
                self._calling.add(index)
            piece = _delta(part, self._has_functions)
            yield self._chunk(ChunkChoice(index=index, delta=piece, logprobs=logprobs, token_ids=token_ids))
            token_ids = None if token_ids is None else []
            logprobs = ChoiceLogprobs(content=[]) if logprobs else None
        if delta.finish_reason is not None:
            reason = self._finish_reason(delta.finish_reason, index in self._calling)
            yield self._chunk(ChunkChoice(index=index, delta=Delta(), finish_reason=reason, stop_reason=delta.stop_reason))

    def usage_chunk(self, usage: Usage) -> ChatCompletionChunk:
        return ChatCompletionChunk(choices=[], usage=usage, **self._envelope)

    def whole(self, choices: Sequence[WholeChoice], usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            choices=[self._choice(choice) for choice in choices],
            usage=usage,
            prompt_logprobs=self._details.prompt_logprobs(0, choices[0].prompt_logprobs),
            prompt_token_ids=self._details.prompt_token_ids(0),
            **self._envelope,
        )

    def _chunk(self, choice: ChunkChoice) -> ChatCompletionChunk:
        return ChatCompletionChunk(choices=[choice], **self._envelope)

    def _choice(self, choice: WholeChoice) -> Choice:
        message = _message(choice.parts, self._has_functions)
        return Choice(
            index=choice.index,
            message=message,
            logprobs=self._logprobs(choice.tokens) if self._scored else None,
            finish_reason=self._finish_reason(choice.finish_reason, bool(message.tool_calls or message.function_call)),
            token_ids=self._details.token_ids(choice.token_ids),
            stop_reason=choice.stop_reason,
        )

    def _logprobs(self, tokens: Sequence[ScoredToken]) -> ChoiceLogprobs:
        return ChoiceLogprobs(content=[self._token(token) for token in tokens])

    def _token(self, token: ScoredToken) -> TokenLogprob:
        logprob, top = (token.logprobs.logprob, token.logprobs.top) if token.logprobs else (LEAST_LOGPROB, [])
        others = [TopLogprob(**self._named(other, value)) for other, value in top]
        return TokenLogprob(top_logprobs=others, **self._named(token.token_id, logprob))

    def _named(self, token_id: int, logprob: float) -> _Named:
        spelling = list(self._tokenizer.token_bytes(token_id))
        return {"token": self._details.text(token_id), "logprob": finite(logprob), "bytes": spelling}

    def _finish_reason(self, reason: FinishReason, has_calls: bool) -> FinishReason:
        """`stop`, too, if the request named the function to call, as in OpenAI's API."""
        if reason != "stop" or not has_calls or self._calls_are_named:
            return reason
        return "function_call" if self._has_functions else "tool_calls"


def _delta(part: OutputPart, has_functions: bool) -> Delta:
    match part:
        case Content(text):
            return Delta(content=text)
        case Reasoning(text):
            return Delta(reasoning_content=text, reasoning=text)
        case ToolCallStart(index, call_id, name):
            function = FunctionCallDelta(name=name, arguments="")
            if has_functions:
                return Delta(function_call=function)
            return Delta(tool_calls=[ToolCallDelta(index=index, id=call_id, type="function", function=function)])
        case ToolCallArguments(index, text):
            function = FunctionCallDelta(arguments=text)
            return Delta(function_call=function) if has_functions else Delta(tool_calls=[ToolCallDelta(index=index, function=function)])


def _message(parts: Sequence[OutputPart], has_functions: bool) -> AnswerMessage:
    content = "".join(part.text for part in parts if isinstance(part, Content))
    reasoning = "".join(part.text for part in parts if isinstance(part, Reasoning)) or None
    calls = [_call(part, parts) for part in parts if isinstance(part, ToolCallStart)] or None
    without_text = not content and (calls or reasoning)
    return AnswerMessage(
        content=None if without_text else content,
        reasoning_content=reasoning,
        reasoning=reasoning,
        tool_calls=None if has_functions else calls,
        function_call=calls[0].function if has_functions and calls else None,
    )


def _call(start: ToolCallStart, parts: Sequence[OutputPart]) -> ToolCall:
    arguments = "".join(part.text for part in parts if isinstance(part, ToolCallArguments) and part.index == start.index)
    return ToolCall(id=start.id, function=FunctionCall(name=start.name, arguments=arguments))
