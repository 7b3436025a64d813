"""The model service on our own engine."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar, overload

from llm_api.chat.template import ChatTemplate
from llm_api.engine.messages import EngineInfo
from llm_api.protocol.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.errors import Unavailable
from llm_api.protocol.models import Model
from llm_api.service.answer import Answer
from llm_api.service.chat_assembly import ChatAssembly
from llm_api.service.chat_planner import ChatPlanner
from llm_api.service.completion_assembly import CompletionAssembly
from llm_api.service.completion_planner import CompletionPlanner
from llm_api.service.engine import Engine
from llm_api.service.engine_health import engine_health
from llm_api.service.envelope import new_envelope
from llm_api.service.model_service import ServiceHealth
from llm_api.service.plan import Plan
from llm_api.service.record import RequestRecord
from llm_api.service.sequences import Generation
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer

Request = TypeVar("Request", ChatCompletionRequest, CompletionRequest)
Whole = TypeVar("Whole")
Chunk = TypeVar("Chunk")

PLANNING_THREADS = 2  # templates and tokens of long texts, beside the event loop


@dataclass(frozen=True, slots=True)
class LocalServiceConfig:
    model_name: str
    engine_load_timeout: float
    engine_stall_timeout: float
    created: int = field(default_factory=lambda: int(time.time()))


class LocalService:
    def __init__(self, config: LocalServiceConfig, tokenizer: Tokenizer, template: ChatTemplate, engine: Engine, metrics: Metrics) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self._engine = engine
        self._metrics = metrics
        self._chat_planner = ChatPlanner(tokenizer, template)
        self._completion_planner = CompletionPlanner(tokenizer)
        self._planning = ThreadPoolExecutor(PLANNING_THREADS, thread_name_prefix="planning")
        engine.on_step = metrics.step

    @overload
    async def infer(self, request: ChatCompletionRequest) -> ChatCompletion: ...
    @overload
    async def infer(self, request: CompletionRequest) -> Completion: ...
    async def infer(self, request: ChatCompletionRequest | CompletionRequest) -> ChatCompletion | Completion:
        if isinstance(request, ChatCompletionRequest):
            return await (await self._chat(request)).whole()
        return await (await self._completion(request)).whole()

    @overload
    def stream_infer(self, request: ChatCompletionRequest) -> AsyncGenerator[ChatCompletionChunk]: ...
    @overload
    def stream_infer(self, request: CompletionRequest) -> AsyncGenerator[Completion]: ...
    def stream_infer(
        self, request: ChatCompletionRequest | CompletionRequest
    ) -> AsyncGenerator[ChatCompletionChunk] | AsyncGenerator[Completion]:
        if isinstance(request, ChatCompletionRequest):
            return _stream(self._chat, request)
        return _stream(self._completion, request)

    def models(self) -> list[Model]:
        info = self._engine.state.info
        length = None if info is None else info.max_model_len
        return [Model(id=self._config.model_name, created=self._config.created, owned_by="llm-api", max_model_len=length)]

    def health(self) -> ServiceHealth:
        return engine_health(self._engine, self._config.engine_load_timeout, self._config.engine_stall_timeout)

    async def start(self) -> None:
        await self._engine.start()

    async def wait_failed(self) -> str:
        return await self._engine.wait_died()

    async def stop(self) -> None:
        await self._engine.stop()
        self._planning.shutdown(wait=False, cancel_futures=True)

    async def _chat(self, request: ChatCompletionRequest) -> Answer[ChatCompletion, ChatCompletionChunk]:
        info = self._ready_info()
        plan = await self._off_loop(self._chat_planner.plan, request, info)
        envelope = new_envelope("chatcmpl", self._config.model_name, info)
        assembly = ChatAssembly(envelope, self._tokenizer, scored=plan.sampling.logprobs is not None)
        return Answer(self._generation(plan, envelope["id"]), assembly)

    async def _completion(self, request: CompletionRequest) -> Answer[Completion, Completion]:
        info = self._ready_info()
        plan = await self._off_loop(self._completion_planner.plan, request, info)
        envelope = new_envelope("cmpl", self._config.model_name, info)
        assembly = CompletionAssembly(envelope, self._tokenizer, request.logprobs)
        return Answer(self._generation(plan, envelope["id"]), assembly)

    async def _off_loop(self, plan: Callable[[Request, EngineInfo], Plan], request: Request, info: EngineInfo) -> Plan:
        return await asyncio.get_running_loop().run_in_executor(self._planning, plan, request, info)

    def _generation(self, plan: Plan, request_id: str) -> Generation:
        record = RequestRecord(self._metrics, plan.prompt_tokens, plan.sequences)
        return Generation(self._engine, self._tokenizer, plan, record, request_id)

    def _ready_info(self) -> EngineInfo:
        info = self._engine.state.info
        if info is None:
            raise Unavailable("The model is not ready to answer. Try again shortly.")
        return info


async def _stream(begin: Callable[[Request], Awaitable[Answer[Whole, Chunk]]], request: Request) -> AsyncGenerator[Chunk]:
    """Nothing begins before the first chunk is asked for."""
    answer = await begin(request)
    async with aclosing(answer.chunks(request.include_usage)) as chunks:
        async for chunk in chunks:
            yield chunk
