"""The model service on our own engine."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from llm_api.chat.output.reasoning_formats import reasoning_format_of
from llm_api.chat.template import ChatTemplate
from llm_api.chat.tools.formats import call_format_of
from llm_api.engine.messages import EngineInfo, EnginePhase
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.embeddings import EmbeddingsRequest
from llm_api.protocol.errors import Unavailable
from llm_api.protocol.models import Model
from llm_api.service.answer import EngineAnswer, new_envelope
from llm_api.service.answer_forms import AnswerForm, AnswerForms
from llm_api.service.chat import ChatPlanner
from llm_api.service.chat_answer import ChatAssembly
from llm_api.service.chat_output import ChatOutput
from llm_api.service.completions import CompletionAssembly, CompletionPlanner
from llm_api.service.lanes import Lanes
from llm_api.service.model_service import Embeddings, ServiceHealth, ServicePhase
from llm_api.service.plan import Plan, check_token_ids
from llm_api.service.request_record import RequestRecord
from llm_api.service.request_sequences import Engine, RequestSequences
from llm_api.service.token_details import TokenDetails
from llm_api.settings import ReasoningParserName, RequestFields, ToolParser
from llm_api.telemetry.context import current_request
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer

Request = TypeVar("Request", ChatCompletionRequest, CompletionRequest)

PLANNING_THREADS = 2  # render templates and encode long texts, off the event loop
PHASES: dict[EnginePhase, ServicePhase] = {"loading": "loading", "warming": "loading", "ready": "ready", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class EngineServiceConfig:
    model_name: str
    engine_load_timeout: float
    engine_stall_timeout: float
    request_fields: RequestFields = "warn"
    tool_parser: ToolParser = "auto"
    reasoning_parser: ReasoningParserName = "auto"
    created: int = field(default_factory=lambda: int(time.time()))


class EngineService:
    """A `ModelService` (llm_api.service.model_service)."""

    def __init__(self, config: EngineServiceConfig, tokenizer: Tokenizer, template: ChatTemplate, engine: Engine, metrics: Metrics) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self._engine = engine
        self._metrics = metrics
        reasoning = reasoning_format_of(config.reasoning_parser, template.sources)
        call_format = call_format_of(config.tool_parser, template.sources)
        self._chat_planner = ChatPlanner(tokenizer, template, ChatOutput(tokenizer, reasoning, call_format))
        self._completion_planner = CompletionPlanner(tokenizer)
        self._planning = ThreadPoolExecutor(PLANNING_THREADS, thread_name_prefix="planning")
        self._tokenizing = Lanes(self._planning)
        self._forms = AnswerForms(call_format, tokenizer.special_token_ids)
        engine.on_step = metrics.step

    def models(self) -> list[Model]:
        info = self._engine.state.info
        length = None if info is None else info.max_model_len
        name, created = self._config.model_name, self._config.created
        return [Model(id=name, root=name, created=created, owned_by="llm-api", max_model_len=length, context_length=length)]

    def embedding_model(self) -> Model | None:
        return None

    async def embed(self, request: EmbeddingsRequest) -> Embeddings:
        raise NotImplementedError("WithEmbeddings answers it")

    def health(self) -> ServiceHealth:
        """While loading and warming up, the engine may be silent for engine_load_timeout; afterwards for engine_stall_timeout.

        A ready engine answers a ping every second between two steps, so an idle engine counts as progressing.
        """
        state, silence = self._engine.state, self._engine.seconds_since_progress()
        phase = PHASES[state.phase]
        limit = self._config.engine_load_timeout if phase == "loading" else self._config.engine_stall_timeout
        progressing = phase != "failed" and silence < limit
        detail = state.error or (state.phase if progressing else f"{state.phase}, no progress for {silence:.0f} s")
        return ServiceHealth(phase, progressing, detail, state.info.max_num_seqs if state.info else None)

    def chat(self, request: ChatCompletionRequest) -> EngineAnswer[ChatCompletion, ChatCompletionChunk]:
        async def begin() -> tuple[RequestSequences, ChatAssembly]:
            info = self._ready_info()
            form = await self._forms.of_chat(request)
            plan = await self._off_loop(self._chat_planner.plan, request, info, form)
            envelope = new_envelope("chatcmpl", self._config.model_name, info)
            assembly = ChatAssembly(envelope, self._tokenizer, TokenDetails(request, plan, self._tokenizer), request)
            return self._sequences(plan, envelope["id"]), assembly

        return EngineAnswer(begin, request)

    def complete(self, request: CompletionRequest) -> EngineAnswer[Completion, Completion]:
        async def begin() -> tuple[RequestSequences, CompletionAssembly]:
            info = self._ready_info()
            form = await self._forms.of_completion(request)
            plan = await self._off_loop(self._completion_planner.plan, request, info, form)
            envelope = new_envelope("cmpl", self._config.model_name, info)
            details = TokenDetails(request, plan, self._tokenizer)
            return self._sequences(plan, envelope["id"]), CompletionAssembly(envelope, details, request)

        return EngineAnswer(begin, request)

    async def tokenize_chat(self, request: ChatCompletionRequest) -> list[int]:
        return await self._tokenizing.run(self._chat_planner.token_ids, request, self._ready_info())

    async def tokenize(self, text: str, add_special_tokens: bool) -> list[int]:
        self._ready_info()
        return await self._tokenizing.run(self._tokenizer.encode, text, add_special_tokens)

    async def detokenize(self, token_ids: list[int]) -> str:
        check_token_ids(token_ids, "tokens", self._ready_info().vocab_size)
        return await self._tokenizing.run(self._tokenizer.whole_text, token_ids)

    async def token_names(self, token_ids: list[int]) -> list[str]:
        return await self._tokenizing.run(self._tokenizer.names, token_ids)

    async def start(self) -> None:
        await self._engine.start()

    async def wait_failed(self) -> str:
        return await self._engine.wait_died()

    async def stop(self) -> None:
        await self._engine.stop()
        await self._forms.stop()
        self._tokenizing.stop()

    async def _off_loop(
        self,
        plan: Callable[[Request, EngineInfo, AnswerForm | None, RequestFields], Plan],
        request: Request,
        info: EngineInfo,
        form: AnswerForm | None,
    ) -> Plan:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._planning, plan, request, info, form, self._request_fields())

    def _request_fields(self) -> RequestFields:
        return current_request().request_fields or self._config.request_fields

    def _sequences(self, plan: Plan, request_id: str) -> RequestSequences:
        if self._request_fields() == "warn":
            for name in plan.ignored_fields:
                is_variable = name.startswith("chat_template_kwargs.")
                self._metrics.ignored_field(name, "chat_template_kwargs" if is_variable else name)
        record = RequestRecord(self._metrics, plan.prompt_tokens, plan.sequences)
        return RequestSequences(self._engine, self._tokenizer, plan, record, request_id)

    def _ready_info(self) -> EngineInfo:
        info = self._engine.state.info
        if info is None:
            raise Unavailable("The model is not ready to answer. Try again shortly.")
        return info
