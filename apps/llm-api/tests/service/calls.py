"""Builds requests as clients send them, and puts the answers together."""

import json
from collections.abc import Sequence
from typing import Any

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.service.engine_service import EngineService
from llm_api.service.model_service import Answer


def chat(content: Any = "What is Kubernetes?", **fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate_json(
        json.dumps({"model": "smollm2", "messages": [{"role": "user", "content": content}]} | fields)
    )


def completion(prompt: Any = "Kubernetes is", **fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate_json(json.dumps({"model": "smollm2", "prompt": prompt} | fields))


def answer_to(service: EngineService, request: ChatCompletionRequest | CompletionRequest) -> Answer[Any, Any]:
    return service.chat(request) if isinstance(request, ChatCompletionRequest) else service.complete(request)


def chat_text(chunks: Sequence[ChatCompletionChunk], index: int = 0) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index)


def completion_text(chunks: Sequence[Completion], index: int = 0) -> str:
    return "".join(choice.text for chunk in chunks for choice in chunk.choices if choice.index == index)
