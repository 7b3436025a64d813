"""The text of a seed does not depend on the batch. Logprobs equal those of a full recompute."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.driver import Completion, Engine, greedy
from engine.reference import Reference
from engine.texts import LENGTHS

from llm_api.engine.executor import Executor
from llm_api.engine.messages import AddRequest, EngineConfig, SamplingParams
from llm_api.engine.sequence import Chunk, Sequence

SAMPLINGS: list[dict[str, Any]] = [
    {"temperature": 1.0},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.3, "top_k": 40},
    {"temperature": 1.0, "top_k": 2000, "top_p": 0.95},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.9, "frequency_penalty": 0.5, "presence_penalty": 0.3},
    {"temperature": 0.9, "repetition_penalty": 1.2},
    {"temperature": 0.0},
]
TOKENS = 12
pytestmark = pytest.mark.timeout(600)  # also on a slow machine
IN_CI = bool(os.environ.get("CI"))
SCORED = 10 if IN_CI else len(LENGTHS)  # prompts; one of each length at least


def run_together(engine: Engine, prompts: list[list[int]], n: int = 1) -> list[list[int]]:
    for number, prompt in enumerate(prompts):
        sampling = SAMPLINGS[number % len(SAMPLINGS)]
        engine.add(str(number), prompt, n=n, max_tokens=TOKENS, seed=number, ignore_eos=True, **sampling)
    engine.finish()
    return [engine.completion(str(number), index).token_ids for number in range(len(prompts)) for index in range(n)]


def run_alone(executor: Executor, prompts: list[list[int]]) -> list[list[int]]:
    texts = []
    for number, prompt in enumerate(prompts):
        engine = Engine(executor)
        sampling = SAMPLINGS[number % len(SAMPLINGS)]
        engine.add("alone", prompt, max_tokens=TOKENS, seed=number, ignore_eos=True, **sampling)
        engine.finish()
        texts.append(engine.completion("alone").token_ids)
    return texts


@pytest.fixture(scope="module")
def alone(float32: Executor, prompts: list[list[int]]) -> list[list[int]]:
    """The completion of each of the first prompts, one request at a time."""
    return run_alone(float32, prompts[: len(SAMPLINGS)])


def test_a_seed_gives_the_same_text_alone_and_in_any_batch(float32: Executor, prompts: list[list[int]], alone: list[list[int]]) -> None:
    chosen = prompts[: len(SAMPLINGS)]
    assert run_together(Engine(float32), chosen) == alone
    assert run_together(Engine(float32, prefix_caching=False, sequences=5, budget=24), chosen) == alone


def test_a_seed_survives_preemption_and_numbers_its_choices(float32: Executor, prompts: list[list[int]], alone: list[list[int]]) -> None:
    chosen = prompts[: len(SAMPLINGS)]
    pressed = Engine(float32, blocks=24)
    texts = run_together(pressed, chosen, n=2)
    assert pressed.preemptions > 0
    assert texts[::2] == alone
    assert all(first != second for first, second in list(zip(texts[::2], texts[1::2], strict=True))[:-1]), "the last one is greedy"
    assert texts[-2] == texts[-1]


def score(executor: Executor, prompt: list[int], budget: int | None = None) -> Completion:
    engine = Engine(executor, budget=budget)
    engine.add("scored", prompt, max_tokens=TOKENS, temperature=0, logprobs=5, prompt_logprobs=2, ignore_eos=True)
    engine.finish()
    return engine.completion("scored")


def assert_scores(completion: Completion, prompt: list[int], logits: torch.Tensor, tolerance: float) -> None:
    """Compares every logprob with those of `logits` over prompt and completion."""
    logprobs = logits.log_softmax(-1)
    tokens = prompt + completion.token_ids
    assert completion.prompt_logprobs is not None
    assert completion.prompt_logprobs[0] is None
    scored = [*completion.prompt_logprobs[1:], *completion.logprobs]
    largest = 0.0
    for position, entry in enumerate(scored):
        assert entry is not None
        pairs = [(tokens[position + 1], entry.logprob), *entry.top]
        for token, logprob in pairs:
            largest = max(largest, abs(logprob - float(logprobs[position, token])))
    assert len(scored) == len(tokens) - 1
    assert largest < tolerance


def test_float32_logprobs_are_those_of_a_full_recompute_by_transformers(
    float32: Executor, reference: Reference, prompts: list[list[int]]
) -> None:
    for prompt in prompts[:SCORED]:
        whole, in_chunks = score(float32, prompt), score(float32, prompt, budget=50)
        assert whole.token_ids == in_chunks.token_ids
        logits = reference.logits(prompt + whole.token_ids)
        assert_scores(whole, prompt, logits, 1e-4)
        assert_scores(in_chunks, prompt, logits, 1e-4)


def test_bfloat16_logprobs_are_those_of_a_full_recompute(bfloat16: Executor, prompts: list[list[int]]) -> None:
    """Bitwise on the native path: a decode rounds as a prefill does."""
    for prompt in prompts[:SCORED]:
        completion = score(bfloat16, prompt)
        logits = recompute(bfloat16, prompt + completion.token_ids)
        assert_scores(completion, prompt, logits, 1e-5)


def test_bfloat16_runs_are_the_same_alone_and_batched(bfloat16: Executor, prompts: list[list[int]]) -> None:
    chosen, tokens = (prompts[:16], 48) if IN_CI else (prompts[: len(LENGTHS)], 16)
    together = greedy(Engine(bfloat16), chosen, tokens)
    assert [greedy(Engine(bfloat16), [prompt], tokens)[0] for prompt in chosen] == together


def test_bfloat16_runs_on_torchs_operators_differ_only_at_near_ties(model_path: Path, prompts: list[list[int]]) -> None:
    """Bounds the gap between the two most likely logits where a run alone and a batched one first differ."""
    executor = Executor(EngineConfig(model_path=str(model_path), dtype="bfloat16", runner="torch", max_num_seqs=8, kv_cache_memory=2**27))
    chosen, tokens = (prompts[:8], 32) if IN_CI else (prompts[:4], 8)
    together = greedy(Engine(executor), chosen, tokens)
    for prompt, batched in zip(chosen, together, strict=True):
        alone = greedy(Engine(executor), [prompt], tokens)[0]
        if alone != batched:
            common = next(i for i, (a, b) in enumerate(zip(alone, batched, strict=True)) if a != b)
            likeliest = recompute(executor, prompt + alone[:common])[-1].topk(2).values
            assert float(likeliest[0] - likeliest[1]) < 0.35


def recompute(executor: Executor, token_ids: list[int]) -> torch.Tensor:
    """Logits of all positions, in one prefill."""
    sampling = SamplingParams(max_tokens=1, prompt_logprobs=0)
    sequence = Sequence(AddRequest(request_id="recompute", prompt_token_ids=token_ids, sampling=sampling), 0)
    sequence.block_ids = list(range(-(-len(token_ids) // executor.cache.block_size)))
    logits, _ = executor.run([Chunk(sequence, 0, len(token_ids))])
    return logits.clone()
