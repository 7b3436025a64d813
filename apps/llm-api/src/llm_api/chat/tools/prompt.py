"""Tools in the prompt of a model whose chat template has none: a description in the system message, and calls as text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_api.chat.message_style import Message

INSTRUCTION = """You may call functions to help with the request. These functions are available, one JSON description on each line:
<tools>
{tools}
</tools>
To call a function, write its name and its arguments as JSON:
<tool_call>
{{"name": "function name", "arguments": {{"argument": "value"}}}}
</tool_call>"""


def with_described_tools(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The messages with the tools in the system message; calls and results are text."""
    lines = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    instruction = INSTRUCTION.format(tools=lines)
    written = with_written_calls(messages)
    first = written[0] if written else None
    if first is None or first["role"] not in {"system", "developer"}:
        return [{"role": "system", "content": instruction}, *written]
    return [{**first, "content": f"{_text(first['content'])}\n\n{instruction}"}, *written[1:]]


def with_written_calls(messages: Sequence[Message]) -> list[Message]:
    """Calls are written as the instruction asks for them, and results in a message of the user."""
    return [_written(message) for message in messages]


def _written(message: Message) -> Message:
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{_text(message['content'])}\n</tool_response>"}
    calls = message.get("tool_calls")
    if not calls:
        return message
    written = "\n".join(_call(call["function"]) for call in calls)
    text = _text(message["content"])
    rest = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**rest, "content": f"{text}\n{written}" if text else written}


def _call(function: Mapping[str, Any]) -> str:
    call = json.dumps({"name": function["name"], "arguments": function["arguments"]}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def _text(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)
