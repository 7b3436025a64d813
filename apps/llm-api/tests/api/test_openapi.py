import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL

from llm_api.api.keys import new_key
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.request import GenerationRequest

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


def test_the_docs_page_loads_only_from_this_server(http: httpx2.Client) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("docs/assets/")
        assert http.get(f"/{link}").status_code == 200
    assert not re.search(r"https?://", page.text)


def test_every_reference_in_the_schema_resolves(schema: dict[str, Any]) -> None:
    references = set(values(schema, "$ref"))
    assert len(references) > 10
    for reference in references:
        node: Any = schema
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_bodies_are_described_with_examples_that_work(http: httpx2.Client, schema: dict[str, Any]) -> None:
    for path, model in GENERATING.items():
        body = schema["paths"][path]["post"]["requestBody"]
        assert body["required"]
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        examples = schema["components"]["schemas"][name]["examples"]
        assert [bool(example.get("stream")) for example in examples] == [False, True]
        for example in examples:
            model.model_validate(example)
            assert http.post(path, json=example).status_code == 200


def test_every_error_and_both_response_formats_are_described(schema: dict[str, Any]) -> None:
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
    assert operations["create_chat_completion"]["security"] == [{"ApiKey": []}, {}]  # {}: the server has no keys
    assert schema["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    assert CHAT in schema["paths"]


def test_the_schema_of_a_server_with_keys_requires_one() -> None:
    with running_server(api_keys=new_key("alice")[1]) as server:
        paths = httpx2.get(server.url + "/openapi.json").json()["paths"]
    asked = {path: operation.get("security") for path, methods in paths.items() for operation in methods.values()}
    assert {path for path, security in asked.items() if security == [{"ApiKey": []}]} == {*asked} - {
        "/livez",
        "/livez/engine",
        "/readyz",
        "/healthz",
    }


def test_the_schema_has_no_status_that_the_api_never_returns(schema: dict[str, Any]) -> None:
    statuses = {status for path in schema["paths"].values() for operation in path.values() for status in operation["responses"]}
    assert "422" not in statuses
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_fields_that_are_always_sent_are_required(shared_server: RunningServer, schema: dict[str, Any]) -> None:
    client, schemas = shared_server.openai(), schema["components"]["schemas"]
    with shared_server.client() as http:
        chat = http.post(CHAT, json=chat_body()).json()
        text = http.post("/v1/completions", json={"model": MODEL, "prompt": "hi"}).json()
        models = http.get("/v1/models").json()
    chunk = next(iter(client.chat.completions.create(**chat_body(), stream=True)))
    for name, sent in (
        ("ChatCompletion", chat),
        ("Choice", chat["choices"][0]),
        ("AnswerMessage", chat["choices"][0]["message"]),
        ("Usage", chat["usage"]),
        ("ChatCompletionChunk", chunk.to_dict()),
        ("ModelList", models),
        ("Model", models["data"][0]),
    ):
        assert set(schemas[name]["required"]) == set(sent), name
    assert set(schemas["Completion"]["required"]) == set(text) - {"usage"}  # it is also the stream chunk


def test_a_response_links_to_its_model(http: httpx2.Client, schema: dict[str, Any]) -> None:
    for path, method, answer in (
        (CHAT, "post", http.post(CHAT, json=chat_body()).json()),
        ("/v1/models", "get", http.get("/v1/models").json()["data"][0]),
    ):
        link = schema["paths"][path][method]["responses"]["200"]["links"]["model"]
        assert link["operationId"] == "retrieve_model"
        assert link["parameters"]["model"] in ("$response.body#/model", "$response.body#/data/0/id")
        assert http.get(f"/v1/models/{answer.get('model', answer['id'])}").json()["id"] == MODEL
