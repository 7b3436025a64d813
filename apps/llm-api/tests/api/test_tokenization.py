"""POST /tokenize and /detokenize over HTTP. tests/serving uses the real tokenizer."""

from typing import Any

import httpx2
import pytest
from api.running_server import key_entry, running_server
from api.scripted_service import MODEL


@pytest.mark.parametrize("path", ["/tokenize", "/v1/tokenize", "/tokenize/"])
@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"prompt": "ab"}, [1, 97, 98]),
        ({"prompt": "ab", "add_special_tokens": False, "model": MODEL}, [97, 98]),
        ({"prompt": ""}, [1]),
        ({"messages": [{"role": "user", "content": "hi"}]}, [0] * 7),
    ],
)
def test_a_text_becomes_tokens(http: httpx2.Client, path: str, fields: dict[str, Any], tokens: list[int]) -> None:
    assert http.post(path, json=fields).json() == {"count": len(tokens), "max_model_len": 512, "tokens": tokens, "token_strs": None}


def test_tokens_have_their_names_on_demand(http: httpx2.Client) -> None:
    answer = http.post("/tokenize", json={"prompt": "a", "return_token_strs": True}).json()
    assert answer["token_strs"] == ["<1>", "<97>"]


def test_tokens_become_a_text(http: httpx2.Client) -> None:
    assert http.post("/detokenize", json={"tokens": [97, 98]}).json() == {"prompt": "ab"}


@pytest.mark.parametrize(
    ("path", "fields", "status", "param"),
    [
        ("/tokenize", {}, 400, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": [{"role": "user", "content": "hi"}]}, 400, "prompt"),
        ("/tokenize", {"prompt": "a", "tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools"),
        ("/tokenize", {"messages": [{"role": "user", "content": "a"}], "continue_final_message": True}, 400, "continue_final_message"),
        ("/tokenize", {"prompt": "a", "model": "other"}, 404, "model"),
        ("/detokenize", {"tokens": ["a"]}, 400, "tokens[0]"),
        ("/detokenize", {}, 400, "tokens"),
    ],
)
def test_a_bad_request_names_the_field(http: httpx2.Client, path: str, fields: dict[str, Any], status: int, param: str) -> None:
    response = http.post(path, json=fields)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_a_key_is_needed_and_ignored_fields_are_named() -> None:
    with running_server(api_keys=key_entry("app", "app-key")) as server, server.client() as http:
        assert http.post("/tokenize", json={"prompt": "a"}).status_code == 401
        response = http.post("/tokenize", json={"prompt": "a", "colour": "red"}, headers={"authorization": "Bearer app-key"})
        assert (response.status_code, response.headers["x-ignored-fields"]) == (200, "colour")
