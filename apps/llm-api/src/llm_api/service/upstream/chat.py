"""Chat completions of an engine, as this API answers: the same chunks, whatever the engine sends."""

import secrets
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

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
from llm_api.service.upstream.envelope import Envelope
from llm_api.service.upstream.finish import finish_reason


class ChatShape:
    path = "/v1/chat/completions"
    prompt = "messages"

    def __init__(self, envelope: Envelope, request: ChatCompletionRequest) -> None:
        self._envelope = envelope
        self._has_functions = bool(request.functions)
        rule = request.call_rule
        self._calls_are_named = rule is not None and rule.mode == "named"
        self._max_calls = 1 if rule is not None and not rule.parallel else None  # engines do not all hold parallel_tool_calls
        self._includes_reasoning = request.include_reasoning is not False
        self._begun: set[int] = set()
        self._calls: dict[tuple[int, int], str] = {}  # ids, by choice and call

    def chunks(self, choice: dict[str, Any], prompt_token_ids: list[int] | None = None) -> Iterator[ChatCompletionChunk]:
        """One choice of an event: the role before its first text, each part in a chunk of its own, the finish reason in the last one."""
        index = choice.get("index") or 0
        if index not in self._begun:
            self._begun.add(index)
            first = self._chunk(ChunkChoice(index=index, delta=Delta(role="assistant", content="")))
            yield first.model_copy(update={"prompt_token_ids": prompt_token_ids})
        logprobs, token_ids = _logprobs(choice.get("logprobs")), choice.get("token_ids")
        for delta in self._deltas(index, choice.get("delta") or {}) or ([Delta(content="")] if logprobs or token_ids else []):
            yield self._chunk(ChunkChoice(index=index, delta=delta, logprobs=logprobs, token_ids=token_ids))
            logprobs, token_ids = logprobs and ChoiceLogprobs(content=[]), token_ids and []
        if reason := choice.get("finish_reason"):
            stop = choice.get("stop_reason")
            end = ChunkChoice(
                index=index,
                delta=Delta(),
                finish_reason=self._finish(reason, any(of == index for of, _ in self._calls)),
                stop_reason=stop if isinstance(stop, str) else None,
            )
            yield self._chunk(end)

    def usage_chunk(self, usage: Usage) -> ChatCompletionChunk:
        return ChatCompletionChunk(choices=[], usage=usage, **self._envelope)

    def whole(self, data: dict[str, Any], usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            choices=[self._choice(choice) for choice in data["choices"]],
            usage=usage,
            prompt_logprobs=prompt_logprobs(data.get("prompt_logprobs")),
            prompt_token_ids=data.get("prompt_token_ids"),
            **self._envelope,
        )

    def _chunk(self, choice: ChunkChoice) -> ChatCompletionChunk:
        return ChatCompletionChunk(choices=[choice], **self._envelope)

    def _deltas(self, index: int, delta: dict[str, Any]) -> list[Delta]:
        deltas = []
        if (thoughts := delta.get("reasoning_content") or delta.get("reasoning")) and self._includes_reasoning:
            deltas.append(Delta(reasoning_content=thoughts, reasoning=thoughts))
        if text := delta.get("content"):
            deltas.append(Delta(content=text))
        for position, call in enumerate(delta.get("tool_calls") or ()):
            if self._max_calls is None or call.get("index", position) < self._max_calls:
                deltas += self._call_deltas(index, position, call)
        return deltas

    def _call_deltas(self, index: int, position: int, call: dict[str, Any]) -> list[Delta]:
        """Id, type and name once, in a piece of their own; then pieces of the arguments."""
        place, function = (index, call.get("index", position)), call.get("function") or {}
        deltas = []
        if place not in self._calls:
            self._calls[place] = call.get("id") or new_call_id()
            deltas.append(self._call_delta(place[1], self._calls[place], FunctionCallDelta(name=function.get("name") or "", arguments="")))
        if text := arguments_text(function.get("arguments")):
            deltas.append(self._call_delta(place[1], None, FunctionCallDelta(arguments=text)))
        return deltas

    def _call_delta(self, number: int, call_id: str | None, function: FunctionCallDelta) -> Delta:
        if self._has_functions:
            return Delta(function_call=function)
        return Delta(tool_calls=[ToolCallDelta(index=number, id=call_id, type="function" if call_id else None, function=function)])

    def _choice(self, choice: dict[str, Any]) -> Choice:
        message = choice["message"]
        calls = [_call(call) for call in (message.get("tool_calls") or ())[: self._max_calls]]
        thoughts = (message.get("reasoning_content") or message.get("reasoning") or None) if self._includes_reasoning else None
        text, stop = message.get("content") or "", choice.get("stop_reason")
        answer = AnswerMessage(
            content=None if not text and (calls or thoughts) else text,
            reasoning_content=thoughts,
            reasoning=thoughts,
            tool_calls=(calls or None) if not self._has_functions else None,
            function_call=calls[0].function if calls and self._has_functions else None,
        )
        return Choice(
            index=choice.get("index") or 0,
            message=answer,
            logprobs=_logprobs(choice.get("logprobs")),
            finish_reason=self._finish(choice.get("finish_reason"), bool(calls)),
            token_ids=choice.get("token_ids"),
            stop_reason=stop if isinstance(stop, str) else None,
        )

    def _finish(self, reason: str | None, has_calls: bool) -> FinishReason:
        """`stop` for a function that the request named, as in OpenAI's API."""
        found = finish_reason(reason)
        if found == "tool_calls" or (found == "stop" and has_calls):
            if self._calls_are_named or not has_calls:
                return "stop"
            return "function_call" if self._has_functions else "tool_calls"
        return found


def new_call_id() -> str:
    return "call_" + secrets.token_hex(12)


def arguments_text(arguments: Any) -> str:
    """As JSON text; some engines send an object."""
    return arguments if isinstance(arguments, str) else to_json(arguments).decode() if arguments else ""


def _call(call: dict[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    arguments = arguments_text(function.get("arguments")) or "{}"
    return ToolCall(id=call.get("id") or new_call_id(), function=FunctionCall(name=function.get("name") or "", arguments=arguments))


def _logprobs(found: dict[str, Any] | None) -> ChoiceLogprobs | None:
    if not found or found.get("content") is None:
        return None
    return ChoiceLogprobs(
        content=[
            TokenLogprob(**_scored(token), top_logprobs=[TopLogprob(**_scored(other)) for other in token.get("top_logprobs") or ()])
            for token in found["content"]
        ]
    )


def _scored(token: dict[str, Any]) -> dict[str, Any]:
    text, logprob = token["token"], token.get("logprob")
    value = LEAST_LOGPROB if logprob is None else finite(logprob)
    spelling = token.get("bytes")
    return {"token": text, "logprob": value, "bytes": list(text.encode()) if spelling is None else spelling}


def prompt_logprobs(found: list[dict[str, Any] | None] | None) -> list[Any] | None:
    if found is None:
        return None
    return [
        None
        if place is None
        else {
            token_id: {
                "logprob": finite(token["logprob"]),
                "rank": token.get("rank") or 0,
                "decoded_token": token.get("decoded_token") or "",
            }
            for token_id, token in place.items()
        }
        for place in found
    ]
