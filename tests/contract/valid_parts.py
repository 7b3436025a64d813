"""Replaces parts of a request that are valid by themselves, but that the default model or the rest of the request do not fit."""

from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from llm_api.dialects.messages.request import CountTokensRequest, MessagesRequest
from llm_api.dialects.responses.request import ResponsesRequest
from llm_api.protocol.chat_messages import AssistantMessage, FunctionMessage, ToolMessage
from llm_api.protocol.structured_output import ResponseFormat, StructuredOutputs
from llm_api.protocol.tokenization import OF_A_CONVERSATION, TokenizeRequest
from llm_api.protocol.tools import FunctionChoice, Functions, ToolChoice, Tools

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FUNCTION = {"name": "f", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
DIALECTS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "/v1/responses": (ResponsesRequest, {"input": "hi", "tools": [{"type": "function", **FUNCTION}]}),
    "/v1/messages": (MessagesRequest, {"tools": [{"name": "f", "input_schema": SCHEMA}]}),
    "/v1/messages/count_tokens": (CountTokensRequest, {"tools": [{"name": "f", "input_schema": SCHEMA}]}),
}
COMPLEX = ("input", "messages", "system", "tools", "tool_choice", "text", "reasoning", "thinking", "output_config")


def is_valid(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def leave_out_allowed_tokens(body: dict[str, Any]) -> None:
    """They have no token in common with most forms of an answer, which gives a 400."""
    forms = ("structured_outputs", "response_format", "tools", "functions")
    allowed = body.get("allowed_token_ids")
    if any(body.get(form) for form in forms) and allowed and is_valid(list[int], allowed):
        body["allowed_token_ids"] = None


def replace_in_chat(body: dict[str, Any]) -> None:
    replace_structured_outputs(body)
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema" and is_valid(ResponseFormat, form):
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    if body.get("structured_outputs") and is_valid(ResponseFormat, form):
        body["structured_outputs"] = None
    if isinstance(messages := body.get("messages"), list):
        body["messages"] = [_replaced_message(message) for message in messages]
    _replace_functions(body)


def replace_structured_outputs(body: dict[str, Any]) -> None:
    """Random patterns, grammars and schemas are often none."""
    if body.get("structured_outputs") is not None and is_valid(StructuredOutputs, body["structured_outputs"]):
        body["structured_outputs"] = {"regex": "[a-c]+"}


def replace_in_dialect(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A valid body keeps its plain fields."""
    kind, fields = DIALECTS[path]
    if not is_valid(kind, body):
        return body
    plain = {name: value for name, value in body.items() if name not in COMPLEX}
    conversation = {} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hi"}]}
    given = {name: value for name, value in fields.items() if name == "input" or body.get(name)}
    return plain | conversation | given


def replace_in_tokenization(body: dict[str, Any]) -> dict[str, Any]:
    """A valid body about a conversation gets another one, without the fields that depend on it."""
    if not body.get("messages") or not is_valid(TokenizeRequest, body):
        return body
    plain = {name: value for name, value in body.items() if name not in OF_A_CONVERSATION}
    return plain | {"messages": [{"role": "user", "content": "hi"}]}


def _replace_functions(body: dict[str, Any]) -> None:
    tools, functions = body.get("tools"), body.get("functions")
    if not all(is_valid(kind | None, body.get(name)) for name, kind in _KINDS.items()):
        return
    fitted = {
        "tools": [TOOL] if tools else tools,
        "functions": [FUNCTION] if functions and not tools else None,
        "tool_choice": body.get("tool_choice") if tools and isinstance(body.get("tool_choice"), str) else None,
        "function_call": body.get("function_call") if isinstance(body.get("function_call"), str) else None,
    }
    body |= {name: value for name, value in fitted.items() if name in body}


_KINDS: dict[str, Any] = {"tools": Tools, "functions": Functions, "tool_choice": ToolChoice, "function_call": FunctionChoice}


def _replaced_message(message: Any) -> Any:
    """The arguments of calls are JSON, which the schema of the API does not say."""
    if not isinstance(message, dict):
        return message
    if message.get("tool_calls") and is_valid(AssistantMessage, message):
        message = {**message, "tool_calls": [CALL]}
    if message.get("function_call") and is_valid(AssistantMessage, message):
        message = {**message, "function_call": CALL["function"]}
    if is_valid(FunctionMessage, message) or is_valid(ToolMessage, message):
        return {"role": "tool", "tool_call_id": "call_1", "content": "a"}
    return message
