"""Runs in the embedding process: loads the model, then embeds batches until the API process stops it."""

import os
import time
from pathlib import Path
from queue import SimpleQueue

import structlog
import torch

from llm_api.embedding.batches import BatchedInput, InputQueue
from llm_api.embedding.messages import (
    CancelInputs,
    Embedded,
    EmbeddingConfig,
    EmbeddingFailed,
    EmbeddingInfo,
    EmbeddingState,
    EmbedInputs,
    ToEmbedding,
)
from llm_api.embedding.model import EmbeddingModel
from llm_api.engine.api_socket import ApiSocket
from llm_api.engine.messages import Ping, Pong, StopEngine
from llm_api.refusal import Refusal
from llm_api.telemetry.logs import configure_logs

log = structlog.get_logger()

NICE = 15  # the engine, on the same cores, is more urgent


def run(fd: int) -> int:
    """Serves the API process over the socket `fd`. Returns the exit status."""
    api = ApiSocket(fd)
    try:
        config = api.config(EmbeddingConfig)
    except EOFError:
        return 0
    configure_logs(config.log_level, config.log_format)
    torch.set_num_threads(config.num_threads)
    inbox: SimpleQueue[ToEmbedding] = SimpleQueue()
    api.receive_into(inbox, ToEmbedding)
    started = time.perf_counter()
    api.send(EmbeddingState(phase="loading"))
    try:
        model = EmbeddingModel(Path(config.model_path))
    except Refusal as error:
        api.send(EmbeddingState(phase="failed", error=str(error), exit_code=error.exit_code))
        return 1
    except Exception as error:
        log.exception("the embedding model could not load")
        api.send(EmbeddingState(phase="failed", error=f"unexpected {type(error).__name__}: {error}"))
        return 1
    os.nice(NICE)  # not before: a busy machine would delay the service's start
    api.send(EmbeddingState(phase="ready", info=_info(model, time.perf_counter() - started)))
    EmbeddingLoop(model, InputQueue(config.max_batched_tokens), inbox, api).run()
    return 0


def _info(model: EmbeddingModel, seconds: float) -> EmbeddingInfo:
    return EmbeddingInfo(
        dimensions=model.dimensions,
        can_shorten=model.files.can_shorten,
        max_length=model.files.max_length,
        vocab_size=model.vocab_size,
        load_seconds=round(seconds, 2),
    )


class EmbeddingLoop:
    def __init__(self, model: EmbeddingModel, queue: InputQueue, inbox: "SimpleQueue[ToEmbedding]", api: ApiSocket) -> None:
        self._model = model
        self._queue = queue
        self._inbox = inbox
        self._api = api

    def run(self) -> None:
        while True:
            while not self._inbox.empty() or not self._queue:  # waits for a message if there is no work
                if not self._handle(self._inbox.get()):
                    return
            self._embed(self._queue.next_batch())

    def _handle(self, message: ToEmbedding) -> bool:
        """Returns False at the end."""
        match message:
            case EmbedInputs():
                self._queue.add(message)
            case CancelInputs(request_id=request_id):
                self._queue.drop(request_id)
            case Ping():
                self._api.send(Pong())
            case StopEngine():
                return False
        return True

    def _embed(self, batch: list[BatchedInput]) -> None:
        try:
            vectors = [row.numpy().astype("<f4").tobytes() for row in self._model.embed([entry.token_ids for entry in batch])]
        except Exception:
            self._embed_one_by_one(batch)
            return
        for request_id in dict.fromkeys(entry.request_id for entry in batch):
            rows = [row for row, entry in enumerate(batch) if entry.request_id == request_id]
            indexes = [batch[row].index for row in rows]
            self._api.send(Embedded(request_id=request_id, indexes=indexes, vectors=[vectors[row] for row in rows]))

    def _embed_one_by_one(self, batch: list[BatchedInput]) -> None:
        """After a failure, so that only the request that causes it fails."""
        if len(batch) > 1:
            for entry in batch:
                self._embed([entry])
            return
        log.exception("an input could not be embedded")
        self._queue.drop(batch[0].request_id)
        self._api.send(EmbeddingFailed(request_id=batch[0].request_id, error="The embedding model failed on this request."))
