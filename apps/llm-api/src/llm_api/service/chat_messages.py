"""Messages and tools as chat templates read them: one form for older and newer fields, arguments of calls as objects."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.errors import InvalidRequest


def template_tools(request: ChatCompletionRequest) -> list[dict[str, Any]] | None:
    """The definitions. None: the request offers none."""
    tools = [{"type": "function", "function": function.model_dump(exclude_none=True)} for function in request.offered_functions]
    return tools or None


def template_messages(request: ChatCompletionRequest) -> list[dict[str, Any]]:
    """Raises InvalidRequest for arguments that are no JSON object."""
    return [_message(message.model_dump(exclude_none=True), position) for position, message in enumerate(request.messages)]


def keys_of(value: Any) -> Iterator[str]:
    """All keys of objects in the value."""
    if isinstance(value, Mapping):
        yield from value
        for item in value.values():
            yield from keys_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys_of(item)


def _message(message: dict[str, Any], position: int) -> dict[str, Any]:
    message.setdefault("content", "")
    path = f"messages[{position}]"
    if message["role"] == "function":
        return {"role": "tool", "tool_call_id": message["name"], "name": message["name"], "content": message["content"]}
    if call := message.pop("function_call", None):
        function = _function(call, f"{path}.function_call")
        return {**message, "tool_calls": [{"id": call["name"], "type": "function", "function": function}]}
    calls: Sequence[Mapping[str, Any]] = message.pop("tool_calls", ())
    if not calls:
        return message
    return {**message, "tool_calls": [_call(call, f"{path}.tool_calls[{index}].function") for index, call in enumerate(calls)]}


def _call(call: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {"id": call["id"], "type": "function", "function": _function(call["function"], path)}


def _function(function: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Models without arguments are called with an empty text by some clients."""
    try:
        arguments = from_json(function["arguments"] or "{}")
    except ValueError as error:
        raise InvalidRequest(f"'{path}.arguments' is not JSON: {error}", param=f"{path}.arguments") from error
    if not isinstance(arguments, dict):
        raise InvalidRequest(f"'{path}.arguments' must be a JSON object.", param=f"{path}.arguments")
    return {"name": function["name"], "arguments": arguments}
