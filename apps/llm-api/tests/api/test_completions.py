import json
from typing import Any

import httpx2
import pytest
from api.running_server import RunningServer
from api.scripted_service import MODEL, WORDS
from openai.types import Completion

from llm_api.protocol.completions import CompletionRequest

PATH = "/v1/completions"


def test_the_official_client_gets_a_completion(shared_server: RunningServer) -> None:
    assert shared_server.openai().completions.create(model=MODEL, prompt="Kubernetes").choices[0].text == "".join(WORDS)


def test_the_official_client_gets_a_stream(shared_server: RunningServer) -> None:
    chunks = list(shared_server.openai().completions.create(model=MODEL, prompt="Kubernetes", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "".join(WORDS)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]]), ([""], [""])],
)
def test_prompts_have_four_forms(http: httpx2.Client, prompt: Any, prompts: list[Any]) -> None:
    body = {"model": MODEL, "prompt": prompt, "n": 2}
    assert CompletionRequest.model_validate_json(json.dumps(body)).prompts == prompts
    answer = Completion.model_validate_json(http.post(PATH, json=body).text, strict=True)
    assert len(answer.choices) == 2 * len(prompts)


@pytest.mark.parametrize(
    "fields", [{"echo": True, "logprobs": 5, "max_tokens": 0}, {"best_of": 3, "n": 3}, {"n": 2.0, "prompt": [1.0, 2]}, {"suffix": None}]
)
def test_supported_fields_are_accepted(http: httpx2.Client, fields: dict[str, Any]) -> None:
    assert http.post(PATH, json={"model": MODEL, "prompt": "a", **fields}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": []}, "prompt", "array_below_min_length"),
        ({"prompt": [[]]}, "prompt[0]", "array_below_min_length"),
        ({"prompt": [[1], "a"]}, "prompt[1]", "invalid_type"),
        ({"prompt": [1, 2.5]}, "prompt[1]", "invalid_type"),
        ({"prompt": [-1]}, "prompt[0]", "integer_below_min_value"),
        ({"prompt": [2**40]}, "prompt[0]", "integer_above_max_value"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_type"),
        ({"prompt": None}, "prompt", "invalid_type"),
        ({"suffix": "end", "echo": True}, "suffix", "invalid_value"),
        ({"best_of": 2, "n": 3}, "best_of", "invalid_value"),
        ({"logprobs": 6}, "logprobs", "integer_above_max_value"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"max_tokens": -1}, "max_tokens", "integer_below_min_value"),
    ],
)
def test_invalid_fields_are_named(http: httpx2.Client, fields: dict[str, Any], param: str, code: str) -> None:
    response = http.post(PATH, json={"model": MODEL, "prompt": "a", **fields})
    assert response.status_code == 400
    assert (response.json()["error"]["param"], response.json()["error"]["code"]) == (param, code)
