"""A seed's text does not depend on the batch; logprobs are those of a full recompute."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.driver import Completion, Engine, greedy
from engine.reference import Reference

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
TOKENS = 20


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


def test_a_seed_gives_the_same_text_alone_and_in_any_batch(float32: Executor, prompts: list[list[int]]) -> None:
    chosen = prompts[:16]
    alone = run_alone(float32, chosen)
    assert run_together(Engine(float32), chosen) == alone
    assert run_together(Engine(float32, prefix_caching=False, sequences=5, budget=24), chosen) == alone


def test_a_seed_survives_preemption_and_numbers_its_choices(float32: Executor, prompts: list[list[int]]) -> None:
    chosen = prompts[:8]
    calm = run_together(Engine(float32), chosen, n=3)
    pressed = Engine(float32, blocks=30)
    assert run_together(pressed, chosen, n=3) == calm
    assert pressed.preemptions > 0
    assert calm[::3] == run_alone(float32, chosen)
    assert all(a != b for a, b in pairwise(calm[:3]))


def score(executor: Executor, prompt: list[int], budget: int | None = None) -> Completion:
    engine = Engine(executor, budget=budget)
    engine.add("scored", prompt, max_tokens=24, temperature=0, logprobs=5, prompt_logprobs=2, ignore_eos=True)
    engine.finish()
    return engine.completion("scored")


def assert_scores(completion: Completion, prompt: list[int], logits: torch.Tensor, tolerance: float) -> float:
    """Compares every logprob with those of `logits` over prompt and completion; returns the largest difference."""
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
    return largest


@pytest.mark.parametrize("budget", [None, 50])
def test_float32_logprobs_are_those_of_a_full_recompute_by_transformers(
    float32: Executor, reference: Reference, prompts: list[list[int]], budget: int | None
) -> None:
    for prompt in prompts[:10]:
        completion = score(float32, prompt, budget)
        assert_scores(completion, prompt, reference.logits(prompt + completion.token_ids), 1e-4)


def test_bfloat16_logprobs_are_those_of_a_full_recompute(bfloat16: Executor, prompts: list[list[int]]) -> None:
    """To the bit on the native path: a decode rounds as a prefill does."""
    for prompt in prompts[:10]:
        completion = score(bfloat16, prompt)
        logits = recompute(bfloat16, prompt + completion.token_ids)
        assert_scores(completion, prompt, logits, 1e-5)


def test_bfloat16_runs_are_the_same_alone_and_batched(bfloat16: Executor, prompts: list[list[int]]) -> None:
    chosen = prompts[:16]
    together = greedy(Engine(bfloat16), chosen, 48)
    assert [greedy(Engine(bfloat16), [prompt], 48)[0] for prompt in chosen] == together


def test_bfloat16_runs_on_torchs_operators_part_only_at_near_ties(model_path: Path, prompts: list[list[int]]) -> None:
    """The bound is on the gap between the two likeliest logits where a run alone and a batched one first differ."""
    executor = Executor(EngineConfig(model_path=str(model_path), dtype="bfloat16", runner="torch", max_num_seqs=8, kv_cache_memory=2**27))
    chosen = prompts[:8]
    together = greedy(Engine(executor), chosen, 32)
    parted = 0
    for prompt, batched in zip(chosen, together, strict=True):
        alone = greedy(Engine(executor), [prompt], 32)[0]
        if alone != batched:
            parted += 1
            common = next(i for i, (a, b) in enumerate(zip(alone, batched, strict=True)) if a != b)
            likeliest = recompute(executor, prompt + alone[:common])[-1].topk(2).values
            assert float(likeliest[0] - likeliest[1]) < 0.35
    print(f"{parted} of {len(chosen)} greedy runs in bfloat16 parted from the same run alone, each at a near-tie")


def recompute(executor: Executor, token_ids: list[int]) -> torch.Tensor:
    """Logits of all positions, in one prefill."""
    sampling = SamplingParams(max_tokens=1, prompt_logprobs=0)
    sequence = Sequence(AddRequest(request_id="recompute", prompt_token_ids=token_ids, sampling=sampling), 0)
    sequence.block_ids = list(range(-(-len(token_ids) // executor.cache.block_size)))
    logits, _ = executor.run([Chunk(sequence, 0, len(token_ids))])
    return logits.clone()
