"""Each invalid request gets its own error, and does not affect requests that run at the same time."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from serving.service_process import ServiceProcess

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
USER = {"role": "user", "content": "hi"}
NEIGHBOUR = {
    "model": "smol",
    "messages": [{"role": "user", "content": "Write about the sea."}],
    "temperature": 0,
    "max_tokens": 120,
    "ignore_eos": True,
}


def chat(**fields: Any) -> str:
    return json.dumps({"model": "smol", "messages": [USER], **fields})


def completion(**fields: Any) -> str:
    return json.dumps({"model": "smol", "prompt": "hi", **fields})


def bad_requests() -> Iterator[tuple[str, str, str | bytes, int, str | None]]:
    """Yields name, path and body of each request, with the status and `param` that its error must have."""
    yield "not JSON", CHAT, "{", 400, None
    yield "no object", CHAT, "[]", 400, None
    yield "invalid UTF-8", CHAT, b'{"model": "\xff"}', 400, None
    yield "lone surrogate", CHAT, chat(messages=[{"role": "user", "content": "\ud800"}]), 400, None
    yield "nested deeply", CHAT, '{"messages": ' + "[" * 5000 + "]" * 5000 + "}", 400, None
    yield "no messages", CHAT, '{"model": "smol"}', 400, "messages"
    yield "empty messages", CHAT, chat(messages=[]), 400, "messages"
    yield "no model", CHAT, json.dumps({"messages": [USER]}), 400, "model"
    yield "unknown model", CHAT, chat(model="other"), 404, "model"
    yield "unknown role", CHAT, chat(messages=[{"role": "wizard", "content": "hi"}]), 400, "messages[0].role"
    yield "image part", CHAT, chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), 400, None
    yield "NaN", CHAT, chat(temperature=float("nan")), 400, "temperature"
    yield "infinity", CHAT, chat(top_p=float("inf")), 400, "top_p"
    yield "huge number", CHAT, chat(max_tokens=10**30), 400, "max_tokens"
    yield "huge seed", CHAT, chat(seed=2**70), 400, "seed"
    yield "negative n", CHAT, chat(n=-1), 400, "n"
    yield "seventeen stops", CHAT, chat(stop=list("abcdefghijklmnopq")), 400, "stop"
    yield "bias out of range", CHAT, chat(logit_bias={"5": 101}), 400, None
    yield "bias on no token", CHAT, chat(logit_bias={"4000000": 1}), 400, None
    yield "a tool of another kind", CHAT, chat(tools=[{"type": "web_search"}]), 400, "tools[0].type"
    yield "a schema that cannot be held", CHAT, chat(structured_outputs={"json": {"not": {}}}), 400, "structured_outputs.json.not"
    yield "field of another server", CHAT, chat(guided_regex="a+"), 400, "guided_regex"
    yield "prompt too long", CHAT, chat(messages=[{"role": "user", "content": "word " * 9000}]), 400, "messages"
    yield "a megabyte of text", CHAT, chat(messages=[{"role": "user", "content": "x" * 2**20}]), 400, "messages"
    yield "body too large", CHAT, chat(user="x" * 9 * 2**20), 413, None
    yield "token id out of range", COMPLETIONS, completion(prompt=[1, 49152]), 400, None
    yield "negative token id", COMPLETIONS, completion(prompt=[-1]), 400, None
    yield "empty prompt", COMPLETIONS, completion(prompt=[]), 400, None
    yield "suffix", COMPLETIONS, completion(suffix="x"), 400, "suffix"
    for field in ("temperature", "top_p", "max_tokens", "n", "stop", "seed", "stream", "logit_bias", "logprobs"):
        yield f"{field} of a wrong type", CHAT, chat(**{field: {"a": []}}), 400, None


@pytest.fixture(scope="module")
def undisturbed(server: ServiceProcess) -> str:
    return server.post(CHAT, json=NEIGHBOUR).json()["choices"][0]["message"]["content"]  # type: ignore[no-any-return]


async def test_each_invalid_request_gets_its_own_error_and_other_texts_do_not_change(server: ServiceProcess, undisturbed: str) -> None:
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        neighbours = [asyncio.create_task(client.post(CHAT, json=NEIGHBOUR)) for _ in range(3)]
        refused = await asyncio.gather(*(refuse(client, *bad) for bad in bad_requests()))
        answers = await asyncio.gather(*neighbours)
    wrong = [problem for problem in refused if problem]
    assert not wrong, "\n".join(wrong)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["usage"]["completion_tokens"] for answer in answers}) == 1
    assert answers[0].json()["choices"][0]["message"]["content"][:60] == undisturbed[:60]


async def refuse(client: httpx2.AsyncClient, name: str, path: str, content: str | bytes, status: int, param: str | None) -> str | None:
    """Describes the difference from the expected error. None: no difference."""
    response = await client.post(path, content=content, headers={"content-type": "application/json"})
    if response.status_code != status:
        return f"{name}: {response.status_code} instead of {status}: {response.text[:200]}"
    error = response.json()["error"]
    if set(error) != {"message", "type", "param", "code"} or not error["message"] or len(error["message"]) > 2000:
        return f"{name}: not a clear error: {str(error)[:200]}"
    if param is not None and error["param"] != param:
        return f"{name}: param {error['param']!r} instead of {param!r}"
    return None
