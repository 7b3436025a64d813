"""Compares the engine with transformers on one model, however the engine schedules the work."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from engine.conftest import tiny_executor
from engine.driver import Completion, Engine, generate
from engine.reference import Reference
from torch import Tensor

from llm_api.engine.executor import Executor
from llm_api.engine.messages import TokenLogprobs
from llm_api.engine.models.one_by_one import OneByOneModel

LARGEST_DIFFERENCE = 1e-3  # of logprobs; also the gap of the two best tokens below which either may be chosen
TOKENS = 32
LENGTHS = (1, 5, 17, 40, 61)
GREEDY: dict[str, Any] = {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, "logprobs": 0}


def path_of(executor: Executor) -> str:
    """native, torch, batched or one by one."""
    if executor.model.name != "general":
        return executor.model.name
    return "one by one" if isinstance(executor.model, OneByOneModel) else "batched"


class Expected:
    """What transformers computes for a checkpoint in float32."""

    def __init__(self, folder: Path) -> None:
        self._reference = Reference(folder)
        self._logprobs = cache(self._compute)

    def assert_greedy(self, prompt: list[int], completion: Completion) -> None:
        """Each token is the most likely one after those before it, and has the right logprob."""
        assert completion.error is None
        logprobs = self._logprobs(tuple(prompt + completion.token_ids[:-1]))[len(prompt) - 1 :]
        assert len(completion.token_ids) == len(logprobs) == TOKENS
        for best, token, got in zip(logprobs, completion.token_ids, completion.logprobs, strict=True):
            assert best.max() - best[token] < LARGEST_DIFFERENCE
            assert abs(got.logprob - float(best[token])) < LARGEST_DIFFERENCE

    def assert_prompt(self, prompt: list[int], got: list[TokenLogprobs | None]) -> None:
        expected = self._logprobs(tuple(prompt[:-1])).gather(1, torch.tensor(prompt[1:]).unsqueeze(1)).flatten().tolist()
        assert len(got) == len(prompt)
        for number, (one, other) in enumerate(zip(got[1:], expected, strict=True)):
            assert one is not None
            assert abs(one.logprob - other) < LARGEST_DIFFERENCE, f"prompt token {number + 1}"

    def _compute(self, token_ids: tuple[int, ...]) -> Tensor:
        return self._reference.logits(list(token_ids)).log_softmax(-1)


def assert_conforms(folder: Path, path: str, **settings: Any) -> None:
    executor = tiny_executor(folder, max_num_batched_tokens=64, kv_cache_memory=2**24, **settings)
    assert path_of(executor) == path
    expected = Expected(folder)
    vocabulary = executor.model_config.vocab_size - 3
    lengths = [length for length in LENGTHS if length + TOKENS <= executor.max_model_len]
    prompts = [[(7 * i * (j + 3)) % vocabulary + 3 for i in range(length)] for j, length in enumerate(lengths)]
    for completions in _runs(executor, prompts):
        for prompt, completion in zip(prompts, completions, strict=True):
            expected.assert_greedy(prompt, completion)
    scored = generate(Engine(executor, budget=8, sequences=2), prompts[1:], max_tokens=0, prompt_logprobs=0)
    for prompt, completion in zip(prompts[1:], scored, strict=True):
        assert completion.prompt_logprobs is not None
        expected.assert_prompt(prompt, completion.prompt_logprobs)


def _runs(executor: Executor, prompts: list[list[int]]) -> Iterator[list[Completion]]:
    """Completions in one batch, in chunks, alone, from the prefix cache, and with preemptions."""
    yield generate(Engine(executor, prefix_caching=False), prompts, **GREEDY)
    yield generate(Engine(executor, prefix_caching=False, budget=8, sequences=3), prompts, **GREEDY)
    engine = Engine(executor)
    yield [generate(engine, [prompt], **GREEDY)[0] for prompt in prompts]
    cached = generate(engine, prompts, **GREEDY)
    assert any(completion.cached_tokens for completion in cached)
    yield cached
    needed = -(-(len(prompts[-1]) + TOKENS) // executor.cache.block_size)
    engine = Engine(executor, blocks=needed + 2)
    yield generate(engine, prompts, **GREEDY)
    assert engine.preemptions
