"""Runs the engine loop in the test process, one step at a time."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from llm_api.engine.executor import Executor
from llm_api.engine.loop import EngineLoop, GrammarReady
from llm_api.engine.messages import (
    AddRequest,
    CancelRequest,
    EngineFinishReason,
    FromEngine,
    SamplingParams,
    SequenceOutput,
    StepOutput,
    ToEngine,
    TokenLogprobs,
)

MAX_STEPS = 20_000
GRAMMAR_SECONDS = 60


@dataclass(slots=True)
class Completion:
    """All outputs of one sequence."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprobs | None] | None = None
    cached_tokens: int = 0
    finish_reason: EngineFinishReason | None = None
    error: str | None = None
    is_request_at_fault: bool = False

    def take(self, output: SequenceOutput) -> None:
        assert self.finish_reason is None, "an output after the last one"
        self.token_ids += output.token_ids
        self.logprobs += output.logprobs or []
        self.prompt_logprobs = output.prompt_logprobs or self.prompt_logprobs
        self.cached_tokens = output.cached_tokens
        self.finish_reason = output.finish_reason
        self.error = output.error
        self.is_request_at_fault = output.is_request_at_fault


def limited(executor: Executor, *, blocks: int | None = None, sequences: int | None = None, budget: int | None = None) -> Executor:
    """The same model and cache with lower limits."""
    tighter = copy.copy(executor)
    tighter.cache = copy.copy(executor.cache)
    tighter.cache.num_blocks = blocks or executor.cache.num_blocks
    tighter.max_num_seqs = sequences or executor.max_num_seqs
    tighter.max_num_batched_tokens = max(budget or executor.max_num_batched_tokens, tighter.max_num_seqs)
    tighter.max_model_len = min(executor.max_model_len, tighter.cache.num_blocks * executor.cache.block_size)
    return tighter


class Engine:
    def __init__(self, executor: Executor, *, prefix_caching: bool = True, **limits: int | None) -> None:
        self.completions: dict[tuple[str, int], Completion] = {}
        self.last_step: StepOutput | None = None
        self.inbox: SimpleQueue[ToEngine | GrammarReady] = SimpleQueue()
        self.loop = EngineLoop(limited(executor, **limits), self.inbox, self._take, prefix_caching)

    @property
    def preemptions(self) -> int:
        return self.loop.scheduler.preemptions

    @property
    def used_blocks(self) -> int:
        pool = self.loop.scheduler.cache.pool
        return pool.num_blocks - pool.num_free

    def add(self, request_id: str, prompt: list[int], n: int = 1, *, priority: int = 0, tenant: str = "", **sampling: Any) -> None:
        self.completions |= {(request_id, index): Completion() for index in range(n)}
        request = AddRequest(
            request_id=request_id, prompt_token_ids=prompt, sampling=SamplingParams(**sampling), n=n, priority=priority, tenant=tenant
        )
        self.loop.handle(request)
        if request.sampling.grammar is not None:
            self.loop.handle(self.inbox.get(timeout=GRAMMAR_SECONDS))

    def cancel(self, request_id: str, index: int | None = None) -> None:
        self.loop.handle(CancelRequest(request_id=request_id, index=index))

    def step(self) -> StepOutput:
        self.last_step = self.loop.step()
        self._take(self.last_step)
        return self.last_step

    def finish(self) -> None:
        """Steps until there is no work."""
        for _ in range(MAX_STEPS):
            if not self.loop.scheduler.has_work:
                return
            self.step()
        raise AssertionError("the engine does not finish")

    def completion(self, request_id: str, index: int = 0) -> Completion:
        return self.completions[request_id, index]

    def _take(self, message: FromEngine) -> None:
        assert isinstance(message, StepOutput)
        for output in message.outputs:
            self.completions[output.request_id, output.index].take(output)


def generate(engine: Engine, prompts: Mapping[str, list[int]] | Iterable[list[int]], **sampling: Any) -> list[Completion]:
    """Adds all prompts at once and runs them to the end. Returns the completions in the order of the prompts."""
    named = prompts if isinstance(prompts, Mapping) else {f"{len(engine.completions)}-{i}": prompt for i, prompt in enumerate(prompts)}
    for name, prompt in named.items():
        engine.add(name, prompt, **sampling)
    engine.finish()
    return [engine.completion(name) for name in named]


def greedy(engine: Engine, prompts: Iterable[list[int]], max_tokens: int) -> list[list[int]]:
    """Exactly `max_tokens` greedy tokens for each prompt."""
    completions = generate(engine, prompts, max_tokens=max_tokens, temperature=0, ignore_eos=True)
    return [completion.token_ids for completion in completions]
