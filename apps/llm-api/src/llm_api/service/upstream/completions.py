"""Text completions of an engine, as this API answers."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Literal

from llm_api.protocol.completions import Completion, CompletionChoice, CompletionRequest, Logprobs
from llm_api.protocol.response import Usage, finite
from llm_api.service.upstream.chat import prompt_logprobs
from llm_api.service.upstream.envelope import Envelope
from llm_api.service.upstream.finish import finish_reason


class CompletionShape:
    path = "/v1/completions"
    prompt = "prompt"

    def __init__(self, envelope: Envelope, request: CompletionRequest) -> None:
        self._envelope = envelope
        self._begun: set[int] = set()

    def chunks(self, choice: dict[str, Any], prompt_token_ids: list[int] | None = None) -> Iterator[Completion]:
        """One choice of an event."""
        index = choice.get("index") or 0
        found = self._choice(choice, _finish(choice["finish_reason"]) if choice.get("finish_reason") else None)
        if index not in self._begun:
            self._begun.add(index)
            found.prompt_token_ids = found.prompt_token_ids or prompt_token_ids
        yield Completion(choices=[found], **self._envelope)

    def usage_chunk(self, usage: Usage) -> Completion:
        return Completion(choices=[], usage=usage, **self._envelope)

    def whole(self, data: dict[str, Any], usage: Usage) -> Completion:
        choices = [self._choice(choice, _finish(choice.get("finish_reason"))) for choice in data["choices"]]
        return Completion(choices=choices, usage=usage, **self._envelope)

    def _choice(self, choice: dict[str, Any], reason: Literal["stop", "length", "content_filter"] | None) -> CompletionChoice:
        return CompletionChoice(
            index=choice.get("index") or 0,
            text=choice.get("text") or "",
            logprobs=_logprobs(choice.get("logprobs")),
            finish_reason=reason,
            prompt_logprobs=prompt_logprobs(choice.get("prompt_logprobs")),
            prompt_token_ids=choice.get("prompt_token_ids"),
            token_ids=choice.get("token_ids"),
        )


def _finish(reason: str | None) -> Literal["stop", "length", "content_filter"]:
    found = finish_reason(reason)
    return "stop" if found == "tool_calls" else found


def _logprobs(found: dict[str, Any] | None) -> Logprobs | None:
    if not found:
        return None
    if found.get("content") is not None:
        return _of_chat(found["content"])
    top = found.get("top_logprobs")
    return Logprobs(
        tokens=found["tokens"],
        token_logprobs=list(map(_finite, found["token_logprobs"])),
        top_logprobs=top and [place and {token: _finite(value) or 0 for token, value in place.items()} for place in top],
        text_offset=found["text_offset"],
    )


def _of_chat(tokens: list[dict[str, Any]]) -> Logprobs:
    """llama-server has the shape of chat completions here."""
    texts = [token["token"] for token in tokens]
    return Logprobs(
        tokens=texts,
        token_logprobs=[_finite(token["logprob"]) for token in tokens],
        top_logprobs=[{other["token"]: _finite(other["logprob"]) or 0 for other in token.get("top_logprobs") or ()} for token in tokens],
        text_offset=list(accumulate(map(len, texts[:-1]), initial=0)) if texts else [],
    )


def _finite(logprob: float | None) -> float | None:
    return None if logprob is None else finite(logprob)
