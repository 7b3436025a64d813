"""Messages and tools for the engine. Older names of OpenAI's API become the newer ones, which all engines have."""

from typing import Any

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.tools import FunctionDefinition
from llm_api.service.upstream.kind import Kind

OURS_ALONE = ("annotations", "thinking", "reasoning")  # fields that say nothing, or the same as another one


def messages(request: ChatCompletionRequest) -> list[dict[str, Any]]:
    dumped = [message.model_dump(by_alias=True, exclude_none=True) for message in request.messages]
    last_call = ""
    for position, message in enumerate(dumped):
        thoughts = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking")
        for field in OURS_ALONE:
            message.pop(field, None)
        if thoughts:
            message["reasoning_content"] = thoughts
        if called := message.pop("function_call", None):
            last_call = f"call_{position}"
            message["tool_calls"] = [{"id": last_call, "type": "function", "function": called}]
        if message["role"] == "function":
            message |= {"role": "tool", "tool_call_id": last_call, "content": message.get("content") or ""}
    return dumped


def _function(function: FunctionDefinition, kind: Kind) -> dict[str, Any]:
    """`strict`, so that arguments are always valid, as with our engine: else vLLM allows any JSON, also for a required call."""
    strict = {"strict": True} if kind.holds_strict_functions and function.parameters else {}
    return function.model_dump(exclude_none=True, exclude={"strict"}) | strict


def tool_fields(request: ChatCompletionRequest, kind: Kind) -> dict[str, Any]:
    """tools and tool_choice, with only the functions that may be called. Empty if the answer calls none."""
    rule = request.call_rule
    if rule is None:
        return {}
    tools = [{"type": "function", "function": _function(function, kind)} for function in rule.functions]
    choice: Any = "required" if rule.mode == "named" else rule.mode
    if rule.mode == "named" and kind.names_functions:
        choice = {"type": "function", "function": {"name": rule.functions[0].name}}
    parallel = {} if rule.parallel or "parallel_tool_calls" not in kind.fields else {"parallel_tool_calls": False}
    return {"tools": tools, "tool_choice": choice, **parallel}
