"""The requests that chat UIs and agents send by default, as recorded from them or as their code builds them."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx2

sys.path.append(str(Path(__file__).parents[1] / "python"))
from reporting import API_KEY, BASE_URL, MODEL, shows

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "now", "description": "time", "parameters": {"type": "object", "properties": {}}}}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
PARTS = [
    {"role": "system", "content": "x"},
    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "yo"}]},
    {"role": "user", "content": [{"type": "text", "text": "and?"}]},
]
TURNS = [{"role": "system", "content": "x"}, *({"role": role, "content": "a"} for _ in range(3) for role in ("user", "assistant")), USER]
CALLED = [
    USER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "now", "content": "12:00"},
]
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "Open WebUI": [STREAM | {"tools": [TOOL]}, STREAM, {"stream": False, "max_tokens": 16, "stop": ["\n"]}],
    "AnythingLLM": [STREAM | {"temperature": 0.7}, STREAM | {"tools": [TOOL]}],
    "LibreChat": [STREAM | {"user": "66a1", "messages": PARTS}],
    "Continue": [{"stream": True, "stop": None, "temperature": None}, STREAM | {"tools": [TOOL]}],
    "Cline": [STREAM | {"tools": [TOOL], "tool_choice": "auto"}, STREAM | {"tools": [TOOL], "messages": CALLED}],
    "qwen-code": [STREAM | {"tools": [TOOL]}],
    "opencode": [STREAM | {"max_tokens": 32000, "stop": ["\n"], "tools": [TOOL], "tool_choice": "auto"}],
    "aider": [{"stream": True, "temperature": 0, "messages": TURNS}],
    "Jan": [STREAM, STREAM | {"repeat_penalty": 1.1}],
    "guidellm": [
        {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}, "ignore_eos": True, "messages": PARTS}
    ],
    "AutoGen": [{"messages": [{"role": "user", "name": "user", "content": "hi"}]}],
    "LangGraph": [{"messages": [USER, {"role": "assistant", "name": "helper", "content": "yo"}, USER]}],
}

print(json.dumps({"client": "requests", "version": "recorded"}))


def answered(body: dict[str, Any]) -> None:
    request = {"model": MODEL, "messages": [USER], "max_tokens": 4} | body
    response = httpx2.post(f"{BASE_URL}/chat/completions", json=request, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60)
    assert response.status_code == 200, response.text
    if request.get("stream"):
        assert response.text.endswith("data: [DONE]\n\n") and '"error"' not in response.text, response.text[-300:]


for name, bodies in REQUESTS.items():

    @shows(name)
    def _(bodies: list[dict[str, Any]] = bodies) -> None:
        for body in bodies:
            answered(body)
