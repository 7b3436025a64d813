"""A step that fails after tokens were sampled is repeated sequence by sequence, without a change for the other sequences."""

from typing import Any

import structlog
from engine.driver import Completion, Engine

from llm_api.engine.executor import Executor

SEEDED: list[dict[str, Any]] = [{"seed": 1}, {"seed": 2, "top_p": 0.9}, {"seed": 3, "logprobs": 2}]
PROMPT = [(5 * i) % 200 + 20 for i in range(60)]


def run(executor: Executor, *, disturbed: bool) -> list[Completion]:
    """`disturbed`: in every step, a request for more logprobs than there are tokens fails in the last stage."""
    engine = Engine(executor, budget=24)
    for number, sampling in enumerate(SEEDED):
        engine.add(str(number), [20 + number, 30, 40], max_tokens=24, ignore_eos=True, **sampling)
    engine.step()
    engine.add("scored", PROMPT, max_tokens=1, prompt_logprobs=1)
    for step in range(8):
        if disturbed:
            engine.add(f"bad-{step}", [50], max_tokens=5, logprobs=1000)
        engine.step()
    engine.finish()
    assert all(c.finish_reason == "error" for (name, _), c in engine.completions.items() if name.startswith("bad"))
    return [engine.completion(name) for name in [*map(str, range(len(SEEDED))), "scored"]]


def test_neighbours_get_the_same_tokens_and_logprobs(tiny: Executor) -> None:
    with structlog.testing.capture_logs():  # formatting a traceback per failed step takes longer than the steps
        calm, disturbed = run(tiny, disturbed=False), run(tiny, disturbed=True)
    assert [completion.token_ids for completion in disturbed[:-1]] == [completion.token_ids for completion in calm[:-1]]
    scored = [completion.prompt_logprobs for completion in (calm[-1], disturbed[-1])]
    assert scored[0] is not None
    assert scored[1] is not None
    assert len(scored[0]) == len(scored[1]) == len(PROMPT)
    for one, other in zip(scored[0][1:], scored[1][1:], strict=True):
        assert one is not None
        assert other is not None
        assert abs(one.logprob - other.logprob) < 1e-4
