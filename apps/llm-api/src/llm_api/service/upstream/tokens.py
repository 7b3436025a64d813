"""Tokens, as the engine counts them."""

from typing import Any

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.errors import NotFound
from llm_api.service.upstream.connection import UpstreamConnection
from llm_api.service.upstream.errors import unreadable
from llm_api.service.upstream.kind import Kind
from llm_api.service.upstream.request import chat_body

FIELDS = ("messages", "tools", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "add_special_tokens")


class UpstreamTokens:
    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    async def of_chat(self, request: ChatCompletionRequest, kind: Kind, model: str) -> list[int]:
        """Raises ApiError."""
        _check(kind)
        body, _ = chat_body(request, kind, model)
        asked = {field: body[field] for field in FIELDS if field in body}
        if kind.tokenizer == "vllm":
            return await self._tokens({"model": model, **asked})
        prompt = _field(await self._connection.whole("/apply-template", asked), "prompt")
        return await self._tokens({"content": prompt, "add_special": False, "parse_special": True})

    async def of_text(self, text: str, add_special_tokens: bool, kind: Kind, model: str) -> list[int]:
        _check(kind)
        if kind.tokenizer == "vllm":
            return await self._tokens({"model": model, "prompt": text, "add_special_tokens": add_special_tokens})
        return await self._tokens({"content": text, "add_special": add_special_tokens, "parse_special": True})

    async def text(self, token_ids: list[int], kind: Kind, model: str) -> str:
        _check(kind)
        body = {"model": model, "tokens": token_ids, "skip_special_tokens": False}
        return str(_field(await self._connection.whole("/detokenize", body), "prompt", "text", "content"))

    async def _tokens(self, body: dict[str, Any]) -> list[int]:
        return list(_field(await self._connection.whole("/tokenize", body), "tokens"))


def _check(kind: Kind) -> None:
    if kind.tokenizer is None:
        raise NotFound(f"Tokens are not available: {kind.title}, which generates behind this server, does not tell them.")


def _field(answer: Any, *names: str) -> Any:
    """The first of these fields that the answer has."""
    found = next((answer[name] for name in names if name in answer), None) if isinstance(answer, dict) else None
    if found is None:
        raise unreadable()
    return found
