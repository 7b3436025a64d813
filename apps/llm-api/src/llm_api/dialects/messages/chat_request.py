"""From Anthropic's messages to a chat completion."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from llm_api.dialects.messages.request import (
    Block,
    CountTokensRequest,
    InputMessage,
    MessagesRequest,
    TextBlock,
    ThinkingBlock,
    ToolChoice,
    ToolResultBlock,
    ToolUseBlock,
)
from llm_api.protocol.chat import ChatCompletionRequest


def chat_request(request: CountTokensRequest) -> ChatCompletionRequest:
    fields: dict[str, Any] = {
        "model": request.model,
        "messages": [*_system(request), *(chat for message in request.messages for chat in _messages(message))],
        "continue_final_message": _continues(request.messages[-1]) or None,
        **_tools(request),
        **_reasoning(request),
    }
    if request.output_config and request.output_config.format:
        schema = {"name": "output", "schema": request.output_config.format.schema_}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    if isinstance(request, MessagesRequest):
        fields |= {
            "max_completion_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": request.stop_sequences or None,
            "stream": request.stream,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True} if request.stream else None,
        }
    return ChatCompletionRequest.model_validate(fields)


def _system(request: CountTokensRequest) -> list[dict[str, Any]]:
    text = _text(request.system)
    return [{"role": "system", "content": text}] if text else []


def _messages(message: InputMessage) -> Iterator[dict[str, Any]]:
    blocks: Sequence[Block] = [TextBlock(type="text", text=message.content)] if isinstance(message.content, str) else message.content
    if message.role == "assistant":
        yield _assistant(blocks)
        return
    for block in blocks:
        if isinstance(block, ToolResultBlock):
            yield {
                "role": "tool",
                "tool_call_id": block.tool_use_id,
                "content": f"Error: {_text(block.content)}" if block.is_error else _text(block.content),
            }
    texts = [block.text for block in blocks if isinstance(block, TextBlock)]
    if texts:
        yield {"role": "user", "content": [{"type": "text", "text": text} for text in texts] if len(texts) > 1 else texts[0]}


def _assistant(blocks: Sequence[Block]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(block.text for block in blocks if isinstance(block, TextBlock))}
    if thoughts := [block.thinking for block in blocks if isinstance(block, ThinkingBlock)]:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls := [_call(block) for block in blocks if isinstance(block, ToolUseBlock)]:
        message["tool_calls"] = calls
    return message


def _call(block: ToolUseBlock) -> dict[str, Any]:
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}}


def _continues(last: InputMessage) -> bool:
    """A last message of the assistant is the beginning of the answer."""
    calls = isinstance(last.content, list) and any(isinstance(block, ToolUseBlock) for block in last.content)
    return last.role == "assistant" and not calls


def _tools(request: CountTokensRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    functions = [{"name": tool.name, "description": tool.description, "parameters": tool.input_schema} for tool in request.tools]
    choice = request.tool_choice
    return {
        "tools": [{"type": "function", "function": function} for function in functions],
        "tool_choice": _choice(choice),
        "parallel_tool_calls": False if choice and choice.disable_parallel_tool_use else None,
    }


def _choice(choice: ToolChoice | None) -> Any:
    if choice is None:
        return None
    if choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name or ""}}
    return "required" if choice.type == "any" else choice.type


def _reasoning(request: CountTokensRequest) -> dict[str, Any]:
    """Models that cannot switch it off, or have no effort, ignore both."""
    fields: dict[str, Any] = {}
    if request.thinking is not None:
        fields["chat_template_kwargs"] = {"enable_thinking": request.thinking.type != "disabled"}
        fields["include_reasoning"] = False if request.thinking.display == "omitted" else None
    if request.output_config and request.output_config.effort:
        fields["reasoning_effort"] = request.output_config.effort
    return fields


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(block.text for block in content or ())
