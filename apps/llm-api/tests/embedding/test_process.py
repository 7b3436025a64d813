"""The real embedding process with a tiny model."""

import asyncio
import os
import signal
from array import array
from pathlib import Path

import pytest
import torch
from embedding.tiny_encoder import tiny_encoder

from llm_api.embedding.client import EmbeddingClient, EmbeddingError
from llm_api.embedding.messages import EmbeddingConfig
from llm_api.embedding.model import EmbeddingModel
from llm_api.engine.launcher import WorkerProcess


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def client(folder: Path) -> tuple[EmbeddingClient, WorkerProcess]:
    process = WorkerProcess("embedding", "llm_api.embedding")
    return EmbeddingClient(EmbeddingConfig(model_path=str(folder), max_batched_tokens=64, num_threads=1), process), process


async def test_concurrent_requests_get_their_own_embeddings_until_the_process_ends(folder: Path) -> None:
    embedder, process = client(folder)
    await embedder.start()
    info = await embedder.wait_ready()
    assert (info.dimensions, info.max_length, info.vocab_size, info.can_shorten) == (16, 32, 8, False)
    requests = [[[1, 4 + (at + shift) % 4, 2] * (1 + at % 5) for at in range(20)] for shift in range(4)]
    answers = await asyncio.gather(*map(embedder.embed, requests))
    model = EmbeddingModel(folder)
    for inputs, vectors in zip(requests, answers, strict=True):
        torch.testing.assert_close(
            torch.tensor([array("f", vector).tolist() for vector in vectors]), model.embed(inputs), atol=1e-5, rtol=1e-4
        )

    cancelled = asyncio.create_task(embedder.embed([[1, 4, 2]] * 2000))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    assert len(await embedder.embed([[1, 4, 2]])) == 1
    with pytest.raises(EmbeddingError, match="failed on this request"):
        await embedder.embed([[1, 4, 2], [1, 999, 2]])  # the API checks ids; a request that cannot be computed fails alone
    assert len(await embedder.embed([[1, 4, 2]])) == 1

    running = asyncio.create_task(embedder.embed([[1, 4, 2] * 10] * 5000))
    await asyncio.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert await asyncio.wait_for(embedder.wait_died(), 10) == "the embedding process was killed by SIGKILL"
    with pytest.raises(EmbeddingError, match="has failed"):
        await running
    with pytest.raises(EmbeddingError, match="has failed"):
        await embedder.embed([[1]])
    await embedder.stop()


async def test_a_folder_that_is_no_embedding_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "none-such"}')
    embedder, _ = client(tmp_path)
    await embedder.start()
    with pytest.raises(EmbeddingError, match="cannot be loaded as an embedding model"):
        await embedder.wait_ready()
    await embedder.stop()
