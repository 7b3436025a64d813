import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from api.running_server import CHAT

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.sampling import GenerationRequest

GENERATING: dict[str, type[GenerationRequest]] = {"/v1/chat/completions": ChatCompletionRequest, "/v1/completions": CompletionRequest}


@pytest.fixture
def schema(http: httpx2.Client) -> dict[str, Any]:
    document: dict[str, Any] = http.get("/openapi.json").json()
    return document


def values(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from ([node[key]] if key in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from values(item, key)


def test_the_docs_page_loads_from_here_alone(http: httpx2.Client) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/docs/assets/")
        assert http.get(link).status_code == 200
    assert not re.search(r"https?://", page.text)


def test_every_reference_of_the_schema_resolves(schema: dict[str, Any]) -> None:
    references = set(values(schema, "$ref"))
    assert len(references) > 10
    for reference in references:
        node: Any = schema
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_bodies_are_described_with_an_example_that_works(http: httpx2.Client, schema: dict[str, Any]) -> None:
    for path, model in GENERATING.items():
        body = schema["paths"][path]["post"]["requestBody"]
        assert body["required"]
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        example = schema["components"]["schemas"][name]["examples"][0]
        model.model_validate(example)
        assert http.post(path, json=example).status_code == 200


def test_every_error_and_both_forms_of_answer_are_described(schema: dict[str, Any]) -> None:
    for path in GENERATING:
        responses = schema["paths"][path]["post"]["responses"]
        assert set(responses) == {"200", "400", "401", "404", "408", "413", "415", "429", "500", "503", "504"}
        assert set(responses["200"]["content"]) == {"application/json", "text/event-stream"}
        assert "Retry-After" in responses["429"]["headers"]
        errors = {code: response["content"]["application/json"]["schema"]["$ref"] for code, response in responses.items() if code != "200"}
        assert set(errors.values()) == {"#/components/schemas/ErrorResponse"}


def test_operations_have_short_ids_and_need_a_key(schema: dict[str, Any]) -> None:
    operations = {operation["operationId"]: operation for path in schema["paths"].values() for operation in path.values()}
    assert {"create_chat_completion", "create_completion", "list_models", "retrieve_model", "readyz"} <= set(operations)
    assert {"ApiKey": []} in operations["create_chat_completion"]["security"]
    assert schema["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    assert CHAT in schema["paths"]
