"""A sequence that makes its step fail is the only one to fail, and its blocks do not affect others."""

import copy
from typing import Any

import pytest
import torch
from engine.driver import Engine, greedy
from torch import Tensor

from llm_api.engine.batch import LogitsSpan
from llm_api.engine.executor import Executor
from llm_api.engine.sequence import Chunk

POISON = 13
GOOD = [[20 + number, 30, 40] * 7 for number in range(5)]


class Fragile:
    """An executor that fails on some input: a step with the poison token raises or returns NaN logits."""

    def __init__(self, executor: Executor, *, raises: bool) -> None:
        self.__dict__ |= copy.copy(executor).__dict__
        self._executor = executor
        self._raises = raises

    def run(self, chunks: list[Chunk]) -> tuple[Tensor, list[LogitsSpan]]:
        logits, spans = self._executor.run(chunks)
        for chunk in chunks:
            if POISON in chunk.sequence.token_ids[: chunk.sequence.num_prompt]:
                if self._raises:
                    raise RuntimeError("poisoned")
                for span in spans:
                    if span.chunk is chunk:
                        logits = logits.clone()
                        logits[span.start : span.end] = torch.nan
        return logits, spans


@pytest.mark.parametrize("raises", [True, False])
def test_only_the_poisonous_sequence_fails(tiny: Executor, raises: bool) -> None:
    expected = greedy(Engine(tiny), GOOD, 12)
    engine = Engine(Fragile(tiny, raises=raises))  # type: ignore[arg-type]
    for number, prompt in enumerate(GOOD):
        engine.add(str(number), prompt, max_tokens=12, temperature=0, ignore_eos=True)
    engine.step()
    engine.add("bad", [POISON, *GOOD[0]], max_tokens=12)
    engine.finish()
    assert engine.completion("bad").finish_reason == "error"
    assert engine.completion("bad").error
    assert [engine.completion(str(number)).token_ids for number in range(len(GOOD))] == expected
    assert engine.used_blocks == 0


def test_blocks_of_a_poisonous_sequence_leave_the_prefix_cache(tiny: Executor) -> None:
    engine = Engine(Fragile(tiny, raises=False))  # type: ignore[arg-type]
    prompt = [POISON] + [50] * 47
    engine.add("bad", prompt, max_tokens=4)
    engine.finish()
    engine.add("again", prompt, max_tokens=4)
    engine.finish()
    assert engine.completion("again").cached_tokens == 0


@pytest.mark.parametrize(
    ("prompt", "sampling", "reason"),
    [
        ([], {}, "empty"),
        ([5, 300], {}, "not in 0 to 299"),
        ([-1], {}, "not in 0 to 299"),
        ([5] * 256, {}, "at most 255 fit"),
        ([5], {"logit_bias": {300: 1.0}}, "logit_bias"),
    ],
)
def test_invalid_requests_are_rejected_and_others_continue(
    tiny: Executor, prompt: list[int], sampling: dict[str, Any], reason: str
) -> None:
    engine = Engine(tiny)
    engine.add("good", GOOD[0], max_tokens=8, temperature=0, ignore_eos=True)
    engine.step()
    engine.add("bad", prompt, max_tokens=8, **sampling)
    assert reason in (engine.completion("bad").error or "")
    engine.finish()
    assert [engine.completion("good").token_ids] == greedy(Engine(tiny), GOOD[:1], 8)
