"""From a request for a response to one for a chat completion."""

from collections.abc import Iterator
from typing import Any

from llm_api.dialects.responses.request import (
    AllowedTools,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputItem,
    JsonSchemaText,
    MessageItem,
    NamedFunction,
    ReasoningItem,
    ResponsesRequest,
    ToolChoice,
)
from llm_api.protocol.chat import ChatCompletionRequest

LOGPROBS = "message.output_text.logprobs"


def chat_request(request: ResponsesRequest) -> ChatCompletionRequest:
    fields: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request)),
        "max_completion_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "response_format": _response_format(request),
        "tools": [_tool(tool.model_dump(exclude_none=True)) for tool in request.tools or ()] or None,
        "tool_choice": _tool_choice(request.tool_choice) if request.tools else None,
        "parallel_tool_calls": request.parallel_tool_calls,
        "reasoning_effort": request.reasoning.effort if request.reasoning else None,
        "stream": request.stream,
        "stream_options": {"include_usage": True} if request.stream else None,
    }
    if LOGPROBS in (request.include or ()):
        fields |= {"logprobs": True, "top_logprobs": request.top_logprobs or 0}
    return ChatCompletionRequest.model_validate(fields)


def _messages(request: ResponsesRequest) -> Iterator[dict[str, Any]]:
    if request.instructions:
        yield {"role": "system", "content": request.instructions}
    if isinstance(request.input, str):
        yield {"role": "user", "content": request.input}
        return
    answer: dict[str, Any] | None = None  # an assistant's message, which reasoning, text and calls are parts of
    for item in request.input:
        if isinstance(item, FunctionCallOutputItem) or (isinstance(item, MessageItem) and item.role != "assistant"):
            if answer is not None:
                yield answer
                answer = None
            yield _input_message(item)
        elif answer is None or _begins_another(answer, item):
            if answer is not None:
                yield answer
            answer = _extended({"role": "assistant"}, item)
        else:
            answer = _extended(answer, item)
    if answer is not None:
        yield answer


def _input_message(item: FunctionCallOutputItem | MessageItem) -> dict[str, Any]:
    if isinstance(item, FunctionCallOutputItem):
        return {"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output)}
    return {"role": item.role, "content": _content(item.content)}


def _begins_another(answer: dict[str, Any], item: InputItem) -> bool:
    if isinstance(item, ReasoningItem):
        return len(answer) > 1
    return isinstance(item, MessageItem) and ("content" in answer or "tool_calls" in answer)


def _extended(answer: dict[str, Any], item: InputItem) -> dict[str, Any]:
    match item:
        case ReasoningItem():
            text = "\n".join(part.text for part in item.content or item.summary or ())
            return {**answer, "reasoning_content": text} if text else answer
        case FunctionCallItem():
            call = {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
            return {**answer, "tool_calls": [*answer.get("tool_calls", ()), call]}
        case MessageItem():
            return {**answer, "content": _content(item.content)}
    return answer


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [{"type": "text", "text": part.text} for part in content]


def _response_format(request: ResponsesRequest) -> dict[str, Any] | None:
    form = request.text.format if request.text else None
    if form is None:
        return None
    if not isinstance(form, JsonSchemaText):
        return {"type": form.type}
    schema = form.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
    return {"type": "json_schema", "json_schema": schema}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


def _tool_choice(choice: ToolChoice | None) -> Any:
    match choice:
        case NamedFunction(name=name):
            return {"type": "function", "function": {"name": name}}
        case AllowedTools(mode=mode, tools=tools):
            named = [{"type": "function", "function": {"name": tool.name}} for tool in tools]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
    return choice
