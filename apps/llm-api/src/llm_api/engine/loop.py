"""The engine's loop: receive, schedule, run, sample, postprocess, send."""

import time
from collections.abc import Callable
from queue import SimpleQueue

import structlog
import torch

from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
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
from llm_api.engine.pace import StepPace
from llm_api.engine.postprocess import advance, collect_prompt_logprobs, failed, sample_spans
from llm_api.engine.sampler.greedy import NOT_FINITE, likeliest
from llm_api.engine.scheduler import Chunk, Scheduler
from llm_api.engine.validate import problem_with

log = structlog.get_logger()


class EngineLoop:
    """Single-threaded. Messages come from `inbox`; each step's outputs go to `send` in one message."""

    def __init__(self, executor: Executor, inbox: SimpleQueue[ToEngine], send: Callable[[FromEngine], None], prefix_caching: bool) -> None:
        self._executor = executor
        self._inbox = inbox
        self._send = send
        self._cache = KVCacheManager(executor.cache.num_blocks, executor.cache.block_size, prefix_caching)
        self._pace = StepPace(executor.step_time_target)
        self.scheduler = Scheduler(self._cache, executor.max_num_seqs, executor.max_num_batched_tokens, self._pace)
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

    def handle(self, message: ToEngine) -> None:
        match message:
            case AddRequest():
                self._add(message)
            case CancelRequest():
                self._cancel(message)
            case Ping():
                self._send(Pong())
            case StopEngine():
                self._stopping = True

    def _receive(self) -> None:
        """Takes every message that is there; without work to do it waits for one."""
        if not self.scheduler.has_work:
            self.handle(self._inbox.get())
        while not self._inbox.empty():
            self.handle(self._inbox.get())

    def _add(self, request: AddRequest) -> None:
        problem = problem_with(request, self._executor)
        if problem is None:
            self.scheduler.add(request)
            return
        outputs = [failed(request.request_id, index, problem) for index in range(request.n)]
        self._send(StepOutput(outputs=outputs, stats=self._stats([], 0)))

    def _cancel(self, request: CancelRequest) -> None:
        self.scheduler.cancel(request.request_id, request.index)
        if not self.scheduler.has_work:  # else the next step tells
            self._send(StepOutput(outputs=[], stats=self._stats([], 0)))

    def _compute_or_isolate(self, chunks: list[Chunk]) -> list[SequenceOutput]:
        """A step that fails is tried again sequence by sequence, so that only the one that causes it fails."""
        try:
            return self._compute(chunks)
        except EngineError:  # no request's fault: the model does not run here
            raise
        except Exception:
            if len(chunks) > 1:
                log.warning("step failed, trying its sequences one by one", sequences=len(chunks), exc_info=True)
                return [output for chunk in chunks for output in self._compute_or_isolate([chunk])]
            log.exception("sequence failed", request_id=chunks[0].sequence.request_id)
            return [self._fail(chunks[0], "The engine failed on this request.")]

    def _compute(self, chunks: list[Chunk]) -> list[SequenceOutput]:
        with torch.inference_mode():
            logits, spans = self._executor.run(chunks)
            collect_prompt_logprobs(logits, spans)
            due = [span for span in spans if span.chunk.completes]
            greedy = likeliest(logits)
            broken = [span for span in due if greedy[span.end - 1] == NOT_FINITE]
            sound = [span for span in due if span not in broken]
            sampled = sample_spans(logits, sound, greedy) if sound else []
        for chunk in chunks:
            self.scheduler.computed(chunk)
        outputs = [self._advance(span.chunk, *token) for span, token in zip(sound, sampled, strict=True)]
        return outputs + [self._fail(span.chunk, "The model's output is not a number.") for span in broken]

    def _advance(self, chunk: Chunk, token_id: int, logprobs: TokenLogprobs | None) -> SequenceOutput:
        eos = self._executor.model_config.eos_token_ids
        output = advance(chunk.sequence, token_id, logprobs, eos, self._executor.max_model_len)
        if output.finish_reason is not None:
            self.scheduler.remove(chunk.sequence)
        return output

    def _fail(self, chunk: Chunk, error: str) -> SequenceOutput:
        sequence = chunk.sequence
        # Whatever broke it may be in its blocks: nobody else is to find them.
        self.scheduler.remove(sequence, forget=True)
        return failed(sequence.request_id, sequence.index, error)

    def _stats(self, chunks: list[Chunk], seconds: float) -> EngineStats:
        return EngineStats(
            steps=self._steps,
            running=len(self.scheduler.running),
            waiting=self.scheduler.num_waiting,
            kv_cache_usage=self._cache.pool.usage,
            preemptions=self.scheduler.preemptions,
            prefix_cache_queries=self._cache.queries,
            prefix_cache_hits=self._cache.hits,
            step_tokens=sum(chunk.length for chunk in chunks),
            step_seconds=seconds,
        )
