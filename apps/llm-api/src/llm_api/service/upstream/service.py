"""The model service on an engine that is not ours, behind its own HTTP API."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.embeddings import EmbeddingsRequest
from llm_api.protocol.errors import InvalidRequest, Unavailable
from llm_api.protocol.models import Model
from llm_api.service.model_service import Embeddings, ServiceHealth
from llm_api.service.request_record import RequestRecord
from llm_api.service.upstream.answer import Call, UpstreamAnswer
from llm_api.service.upstream.chat import ChatShape
from llm_api.service.upstream.completions import CompletionShape
from llm_api.service.upstream.connection import Target, UpstreamConnection
from llm_api.service.upstream.envelope import new_envelope
from llm_api.service.upstream.kind import Kind
from llm_api.service.upstream.kinds import OTHER
from llm_api.service.upstream.monitor import Limits, Monitor, UpstreamModel
from llm_api.service.upstream.request import chat_body, completion_body
from llm_api.service.upstream.tokens import UpstreamTokens
from llm_api.settings import RequestFields
from llm_api.telemetry.context import current_request
from llm_api.telemetry.metrics import Metrics

DEFAULT_MAX_NUM_SEQS = 256  # vLLM's


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """`kind` and `model` None: as the engine says. `model_name`: the id for clients; None: the engine's."""

    target: Target
    limits: Limits
    kind: Kind | None = None
    model: str | None = None
    model_name: str | None = None
    max_num_seqs: int = DEFAULT_MAX_NUM_SEQS
    request_fields: RequestFields = "warn"
    created: int = field(default_factory=lambda: int(time.time()))


class UpstreamService:
    """A `ModelService` (llm_api.service.model_service)."""

    def __init__(self, config: UpstreamConfig, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._monitor = Monitor(config.kind, config.model, config.limits, metrics)
        self._connection = UpstreamConnection(config.target, self._monitor.progressed)
        self._tokens = UpstreamTokens(self._connection)
        self._watching: asyncio.Task[None] | None = None

    def models(self) -> list[Model]:
        model = self._monitor.model
        name = self._config.model_name or (model.id if model else self._config.model) or "unknown"
        length = model.max_model_len if model else None
        return [
            Model(id=name, root=name, created=self._config.created, owned_by="llm-api", max_model_len=length, context_length=length),
        ]

    def embedding_model(self) -> Model | None:
        return None

    async def embed(self, request: EmbeddingsRequest) -> Embeddings:
        raise NotImplementedError("WithEmbeddings answers it")

    def health(self) -> ServiceHealth:
        return replace(self._monitor.health(), max_num_seqs=self._config.max_num_seqs)

    def chat(self, request: ChatCompletionRequest) -> "UpstreamAnswer[ChatCompletion, ChatCompletionChunk]":
        async def begin() -> Call[ChatCompletion, ChatCompletionChunk]:
            kind, model = self._ready()
            body, ignored = chat_body(request, kind, model.id)
            self._note_ignored(ignored + self._cut(body, request, model))
            shape = ChatShape(new_envelope("chatcmpl", self.models()[0].id, kind), request)
            return Call(kind, body, shape, RequestRecord(self._metrics, 0, request.sequences), request.sequences)

        return UpstreamAnswer(begin, self._connection, self._monitor.request, request)

    def complete(self, request: CompletionRequest) -> "UpstreamAnswer[Completion, Completion]":
        async def begin() -> Call[Completion, Completion]:
            kind, model = self._ready()
            body, ignored = completion_body(request, kind, model.id)
            self._note_ignored(ignored)
            shape = CompletionShape(new_envelope("cmpl", self.models()[0].id, kind), request)
            return Call(kind, body, shape, RequestRecord(self._metrics, 0, request.sequences), request.sequences)

        return UpstreamAnswer(begin, self._connection, self._monitor.request, request)

    async def tokenize_chat(self, request: ChatCompletionRequest) -> list[int]:
        kind, model = self._ready()
        return await self._tokens.of_chat(request, kind, model.id)

    async def tokenize(self, text: str, add_special_tokens: bool) -> list[int]:
        kind, model = self._ready()
        return await self._tokens.of_text(text, add_special_tokens, kind, model.id)

    async def detokenize(self, token_ids: list[int]) -> str:
        kind, model = self._ready()
        return await self._tokens.text(token_ids, kind, model.id)

    async def token_names(self, token_ids: list[int]) -> list[str]:
        raise InvalidRequest(
            "'return_token_strs' is not available: the engine behind this server does not tell them.", param="return_token_strs"
        )

    async def start(self) -> None:
        self._connection.open((self._config.kind or OTHER).idle_timeout)
        self._watching = asyncio.create_task(self._monitor.watch(self._connection))

    async def wait_ready(self) -> None:
        await self._monitor.ready.wait()

    async def wait_failed(self) -> str:
        """Never: whoever runs the engine restarts it, and this service waits for it."""
        assert self._watching  # noqa: S101
        await self._watching
        raise AssertionError

    def _ready(self) -> tuple[Kind, UpstreamModel]:
        kind, model = self._monitor.kind, self._monitor.model
        if kind is None or model is None:
            raise Unavailable("The engine is not ready; try again.")
        return kind, model

    def _cut(self, body: dict[str, Any], request: ChatCompletionRequest, model: UpstreamModel) -> list[str]:
        """Leaves out a number of tokens that no prompt leaves room for, unless fields are strict. Returns the name of its field."""
        if self._mode == "strict" or model.max_model_len is None or body.get("max_tokens", 0) < model.max_model_len:
            return []
        del body["max_tokens"]
        return ["max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"]

    @property
    def _mode(self) -> RequestFields:
        return current_request().request_fields or self._config.request_fields

    def _note_ignored(self, fields: list[str]) -> None:
        """Fields without effect on this engine, as REQUEST_FIELDS says."""
        mode = self._mode
        if fields and mode == "strict":
            raise InvalidRequest(
                f"'{fields[0]}' has no effect on this server; leave it out.", param=fields[0], code="unsupported_parameter"
            )
        if mode == "warn":
            for field in fields:
                self._metrics.ignored_field(field, field)

    async def stop(self) -> None:
        if self._watching:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self._connection.close()
