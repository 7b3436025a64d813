"""/v1/embeddings, /v1/rerank and /v1/score over HTTP. tests/serving uses a real model."""

import base64
import math
import threading
from array import array
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from api.running_server import RunningServer, running_server
from api.scripted_service import EMBEDDING_MODEL, MODEL, ScriptedService

ALIASES = (f"text-embedding-3-small={EMBEDDING_MODEL}", "gpt-4o")


@pytest.fixture(scope="module")
def embedding() -> Iterator[RunningServer]:
    service = ScriptedService()
    service.embeds = True
    with running_server(service, model_aliases=ALIASES, embedding_max_queued_inputs=4) as server:
        yield server


def post(server: RunningServer, path: str, **fields: Any) -> httpx2.Response:
    return httpx2.post(server.url + path, json={"model": EMBEDDING_MODEL} | fields)


@pytest.mark.parametrize(
    ("given", "vectors"),
    [("abc", [[3, 1]]), (["a", "ab"], [[1, 1], [2, 1]]), ([5, 6, 7], [[3, 1]]), ([[5], [6, 7]], [[1, 1], [2, 1]])],
)
def test_each_input_gets_its_embedding(embedding: RunningServer, given: Any, vectors: list[list[float]]) -> None:
    answer = post(embedding, "/v1/embeddings", input=given, model="text-embedding-3-small").json()
    assert [item["embedding"] for item in answer["data"]] == vectors
    assert [item["index"] for item in answer["data"]] == list(range(len(vectors)))
    tokens = sum(int(vector[0]) for vector in vectors)
    assert (answer["object"], answer["model"], answer["usage"]) == (
        "list",
        EMBEDDING_MODEL,
        {"prompt_tokens": tokens, "total_tokens": tokens},
    )


def test_base64_is_little_endian_float32(embedding: RunningServer) -> None:
    [item] = post(embedding, "/v1/embeddings", input="abc", encoding_format="base64").json()["data"]
    assert array("f", base64.b64decode(item["embedding"])).tolist() == [3, 1]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_documents_are_ordered_by_the_angle_to_the_query(embedding: RunningServer, path: str) -> None:
    answer = post(embedding, path, query="ab", documents=["a" * 50, {"text": "abc"}], top_n=0).json()
    assert [result["index"] for result in answer["results"]] == [1, 0]
    assert answer["results"][0]["relevance_score"] == pytest.approx(7 / math.sqrt(5 * 10))
    assert answer["results"][0]["document"] == {"text": "abc"}
    [best] = post(embedding, path, query="ab", documents=["a", "abc"], top_n=1, return_documents=False).json()["results"]
    assert (best["index"], best["document"]) == (1, None)


@pytest.mark.parametrize("path", ["/v1/score", "/score"])
def test_pairs_are_scored(embedding: RunningServer, path: str) -> None:
    one = post(embedding, path, text_1="ab", text_2=["ab", "abc"]).json()["data"]
    assert [item["score"] for item in one] == pytest.approx([1, 7 / math.sqrt(5 * 10)])
    pairs = post(embedding, path, text_1=["a", "ab"], text_2=["a", "abc"]).json()["data"]
    assert [item["score"] for item in pairs] == pytest.approx([1, 7 / math.sqrt(5 * 10)])


@pytest.mark.parametrize(
    ("path", "fields", "param", "message"),
    [
        ("/v1/embeddings", {}, "input", "Missing required"),
        ("/v1/embeddings", {"input": ["a", 1]}, "input[1]", "a string"),
        ("/v1/embeddings", {"input": []}, "input", "minimum length of 1"),
        ("/v1/embeddings", {"input": ["a"] * 5}, "input", "5 inputs; this server accepts at most 4 at once"),
        ("/v1/embeddings", {"input": "a", "model": MODEL}, "model", f"embeds no texts; use '{EMBEDDING_MODEL}'"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}, "model", "embeds texts: use it in /v1/embeddings"),
        ("/v1/score", {"text_1": ["a", "b"], "text_2": ["a"]}, "text_1", "must have one, or as many as 'text_2', 1"),
        ("/v1/rerank", {"query": "a", "documents": []}, "documents", "minimum length of 1"),
        ("/v1/rerank", {"query": "a", "documents": ["a"] * 4}, "documents", "5 inputs; this server accepts at most 4 at once"),
        ("/v1/rerank", {"query": "a", "documents": ["a", "too long"]}, "documents[1]", "'documents[1]' is too long"),
        ("/v1/rerank", {"query": "too long", "documents": ["a"]}, "query", "'query' is too long"),
        ("/v1/rerank", {"query": "a", "documents": ["a", {"text": ""}]}, "documents[1].text", "minimum length of 1"),
        ("/v1/rerank", {"query": "a", "documents": ["a", 5]}, "documents[1]", "should be a string or an object with 'text'"),
        ("/v1/score", {"text_1": "too long", "text_2": "a"}, "text_1", "'text_1' is too long"),
        ("/v1/score", {"text_1": ["a"], "text_2": ["a", "too long"]}, "text_2[1]", "'text_2[1]' is too long"),
        ("/v1/score", {"text_1": "a", "text_2": ["a"] * 4}, "text_2", "5 inputs; this server accepts at most 4 at once"),
    ],
)
def test_a_bad_request_names_the_field(embedding: RunningServer, path: str, fields: dict[str, Any], param: str, message: str) -> None:
    response = post(embedding, path, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (404 if param == "model" else 400, param)
    assert message in error["message"]


def test_unknown_fields_of_documents_are_left_out(embedding: RunningServer) -> None:
    response = post(embedding, "/v1/rerank", query="a", documents=["a", {"text": "ab", "title": "A"}, {"text": "abc", "title": "B"}])
    assert response.status_code == 200
    assert response.headers["x-ignored-fields"] == "documents[1].title, and 1 more"


def test_embeddings_have_an_admission_of_their_own(embedding: RunningServer) -> None:
    waiting = threading.Thread(target=post, args=(embedding, "/v1/embeddings"), kwargs={"input": ["hold", "a", "b", "c"]})
    waiting.start()
    assert embedding.service.begun.get(timeout=10) == "hold"
    refused = post(embedding, "/v1/embeddings", input="a")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert post(embedding, "/v1/completions", prompt="hi", model=MODEL).status_code == 200
    embedding.service.release()
    waiting.join()
    assert post(embedding, "/v1/embeddings", input="a").status_code == 200


def test_the_model_list_has_both_models_and_their_aliases(embedding: RunningServer) -> None:
    models = httpx2.get(embedding.url + "/v1/models").json()["data"]
    assert [(model["id"], model["root"]) for model in models] == [
        (MODEL, MODEL),
        (EMBEDDING_MODEL, EMBEDDING_MODEL),
        ("text-embedding-3-small", EMBEDDING_MODEL),
        ("gpt-4o", MODEL),
    ]


def test_a_server_without_an_embedding_model_says_how_to_get_one(http: httpx2.Client) -> None:
    response = http.post("/v1/embeddings", json={"model": MODEL, "input": "a"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "embeddings_off")
    assert "EMBEDDING_MODEL_URI" in response.json()["error"]["message"]
