"""The engine loop: receive, schedule, execute, sample, postprocess, send."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

import structlog
import torch
from llguidance import LLMatcher

from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.grammar.compiler import GrammarCompiler
from llm_api.engine.grammar.masks import MaskComputer
from llm_api.engine.kv_cache.manager import KVCacheManager
from llm_api.engine.messages import (
    AddRequest,
    CancelRequest,
    EngineStats,
    FromEngine,
    Ping,
    Pong,
    SequenceOutput,
    StepOutput,
    StopEngine,
    ToEngine,
    TokenLogprobs,
)
from llm_api.engine.postprocess import advance, collect_prompt_logprobs, failed, sample_spans
from llm_api.engine.sampler.sampler import DEAD_END, NOT_FINITE, greedy_tokens
from llm_api.engine.scheduler import Scheduler, StepPace
from llm_api.engine.sequence import Chunk, Sequence

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GrammarReady:
    """A thread has compiled the grammar of this request, or has found an error in it."""

    request_id: str
    result: LLMatcher | str


class EngineLoop:
    """Single-threaded. Takes messages from `inbox` and passes the outputs of a step to `send` in one message."""

    def __init__(
        self, executor: Executor, inbox: SimpleQueue[ToEngine | GrammarReady], send: Callable[[FromEngine], None], prefix_caching: bool
    ) -> None:
        self._executor = executor
        self._inbox = inbox
        self._send = send
        eos = executor.end_token_ids
        self._grammars = GrammarCompiler(executor.tokenizer_file, executor.model_config.vocab_size, eos)
        self._masks = MaskComputer(self._grammars)
        self._compiling: dict[str, AddRequest] = {}
        self._cache = KVCacheManager(executor.cache.num_blocks, executor.cache.block_size, prefix_caching)
        self._pace = StepPace(executor.step_time_target)
        self.scheduler = Scheduler(self._cache, executor.max_num_seqs, executor.max_num_batched_tokens, self._pace, eos)
        self._steps = 0
        self._stopping = False

    def run(self) -> None:
        while not self._stopping:
            self._receive()
            if self.scheduler.has_work:
                self._send(self.step())

    def step(self) -> StepOutput:
        started = time.perf_counter()
        chunks = self.scheduler.schedule()
        outputs = self._compute_or_isolate(chunks)
        self._steps += 1
        stats = self._stats(chunks, time.perf_counter() - started)
        if any(chunk.length > 1 for chunk in chunks):
            self._pace.record(stats.step_tokens, stats.step_seconds)
        return StepOutput(outputs=outputs, stats=stats)

    def handle(self, message: "ToEngine | GrammarReady") -> None:
        match message:
            case AddRequest():
                self._add(message)
            case GrammarReady():
                self._add_compiled(message)
            case CancelRequest():
                self._cancel(message)
            case Ping():
                self._send(Pong())
            case StopEngine():
                self._stopping = True

    def _receive(self) -> None:
        """Handles all pending messages. Blocks until there is one if there is no work."""
        if not self.scheduler.has_work:
            self.handle(self._inbox.get())
        while not self._inbox.empty():
            self.handle(self._inbox.get())

    def _add(self, request: AddRequest) -> None:
        error = _validation_error(request, self._executor)
        if error is not None:
            self._refuse(request, error)
        elif request.sampling.grammar is None:
            self.scheduler.add(request)
        else:
            self._compiling[request.request_id] = request
            self._grammars.compile(request.sampling.grammar, lambda result: self._inbox.put(GrammarReady(request.request_id, result)))

    def _add_compiled(self, ready: "GrammarReady") -> None:
        request = self._compiling.pop(ready.request_id, None)
        if request is None:  # cancelled
            return
        if isinstance(ready.result, str):
            self._refuse(request, ready.result)
        else:
            self.scheduler.add(request, ready.result)

    def _refuse(self, request: AddRequest, error: str) -> None:
        outputs = [failed(request.request_id, index, error, is_request_at_fault=True) for index in range(request.n)]
        self._send(StepOutput(outputs=outputs, stats=self._stats([], 0)))

    def _cancel(self, request: CancelRequest) -> None:
        if request.index is None:
            self._compiling.pop(request.request_id, None)
        self.scheduler.cancel(request.request_id, request.index)
        if not self.scheduler.has_work:  # else the next step reports the statistics
            self._send(StepOutput(outputs=[], stats=self._stats([], 0)))

    def _compute_or_isolate(self, chunks: list[Chunk]) -> list[SequenceOutput]:
        """If a step fails, retries its sequences one by one, so that only the sequence that causes the failure fails."""
        try:
            return self._compute(chunks)
        except EngineError:  # the model cannot be computed here: no single request is at fault
            raise
        except Exception:
            if len(chunks) > 1:
                log.warning("step failed, retrying its sequences one by one", sequences=len(chunks), exc_info=True)
                return [output for chunk in chunks for output in self._compute_or_isolate([chunk])]
            log.exception("sequence failed", request_id=chunks[0].sequence.request_id)
            return [self._fail(chunks[0], "The engine failed on this request.")]

    def _compute(self, chunks: list[Chunk]) -> list[SequenceOutput]:
        masks = self._masks.begin([chunk.sequence for chunk in chunks if chunk.completes])
        with torch.inference_mode():
            logits, spans = self._executor.run(chunks)
            collect_prompt_logprobs(logits, spans)
            due = [span for span in spans if span.chunk.completes]
            greedy = greedy_tokens(logits)
            broken = [span for span in due if greedy[span.end - 1] == NOT_FINITE]
            sound = [span for span in due if span not in broken]
            sampled = sample_spans(logits, sound, greedy, masks) if sound else []
        for chunk in chunks:
            self.scheduler.computed(chunk)
        outputs = [self._advance(span.chunk, *token) for span, token in zip(sound, sampled, strict=True)]
        return outputs + [self._fail(span.chunk, "The model's output is not a finite number.") for span in broken]

    def _advance(self, chunk: Chunk, token_id: int, logprobs: TokenLogprobs | None) -> SequenceOutput:
        if token_id == DEAD_END:
            return self._fail(chunk, _dead_end(chunk.sequence), is_request_at_fault=True)
        output = advance(chunk.sequence, token_id, logprobs, self._executor.max_model_len)
        if output.finish_reason == "stop" and chunk.sequence.grammar and chunk.sequence.grammar.error is not None:
            return self._fail(chunk, _dead_end(chunk.sequence), is_request_at_fault=True)  # the end of a text that is not valid
        if output.finish_reason is not None:
            self.scheduler.remove(chunk.sequence)
        return output

    def _fail(self, chunk: Chunk, error: str, is_request_at_fault: bool = False) -> SequenceOutput:
        sequence = chunk.sequence
        # Its blocks may hold the cause (NaN, for example): no other sequence may find them in the prefix cache.
        self.scheduler.remove(sequence, discard=True)
        return failed(sequence.request_id, sequence.index, error, is_request_at_fault)

    def _stats(self, chunks: list[Chunk], seconds: float) -> EngineStats:
        return EngineStats(
            steps=self._steps,
            running=len(self.scheduler.running),
            waiting=self.scheduler.num_waiting + sum(request.n for request in self._compiling.values()),
            kv_cache_usage=self._cache.pool.usage,
            preemptions=self.scheduler.preemptions,
            prefix_cache_queries=self._cache.queries,
            prefix_cache_hits=self._cache.hits,
            step_tokens=sum(chunk.length for chunk in chunks),
            step_seconds=seconds,
        )


def _dead_end(sequence: Sequence) -> str:
    if sequence.grammar and (error := sequence.grammar.error):
        return f"The grammar of this request cannot be followed any further with this model's tokenizer: {error}"
    if sequence.grammar:
        return "The grammar of this request allows no further token, or only tokens that its other fields forbid."
    return "'bad_words' and 'allowed_token_ids' of this request leave no token to generate."


def _validation_error(request: AddRequest, executor: Executor) -> str | None:
    """The engine's own check of a request, in one sentence: no request that passes can make a step fail. None: valid."""
    prompt, vocabulary = request.prompt_token_ids, executor.model_config.vocab_size
    if not prompt:
        return "The prompt is empty."
    if len(prompt) >= executor.max_model_len:
        return f"The prompt has {len(prompt)} tokens; at most {executor.max_model_len - 1} fit."
    if not (min(prompt) >= 0 and max(prompt) < vocabulary):
        return f"A token id of the prompt is not in 0 to {vocabulary - 1}."
    if not all(0 <= token < vocabulary for token in request.sampling.logit_bias):
        return f"A token id in logit_bias is not in 0 to {vocabulary - 1}."
    if request.n < 1 or request.sampling.max_tokens < 0:
        return "n must be at least 1 and max_tokens at least 0."
    return None
