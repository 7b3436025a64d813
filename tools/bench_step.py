"""`make bench-step`: measures the duration of engine steps in one process without HTTP, and the model's share of it.

Uses the service's settings: `QUANTIZATION=int4 make bench-step`. Compare with `make bench` for the cost of HTTP.
"""

import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from random import Random
from statistics import median

from torch import Tensor

from llm_api.cli.model import readable_progress
from llm_api.cli.prepared_model import prepare
from llm_api.engine.batch import Batch
from llm_api.engine.executor import Executor
from llm_api.engine.loop import EngineLoop
from llm_api.engine.machine import available_memory
from llm_api.engine.messages import AddRequest, SamplingParams, StepOutput
from llm_api.engine.worker import warm_up
from llm_api.markdown import table
from llm_api.settings import Settings

PROMPT_TOKENS, OUTPUT_TOKENS = 105, 64  # as `make bench`
CONCURRENCY = (1, 4, 16)
ROUNDS = 3


@dataclass
class Clock:
    """Wraps the executor's model and records the seconds of each call."""

    executor: Executor
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._model = self.executor.model
        self.cache_shape, self.name, self.bind = self._model.cache_shape, self._model.name, self._model.bind

    def logits(self, batch: Batch) -> Tensor:
        started = time.perf_counter()
        logits = self._model.logits(batch)
        self.seconds.append(time.perf_counter() - started)
        return logits


def measure(loop: EngineLoop, clock: Clock, concurrency: int, random: Random) -> tuple[list[float], list[float], float]:
    """Seconds of each step that decodes all sequences, seconds of the model in it, and tokens per second of the prefill steps."""
    for index in range(concurrency):
        prompt = [random.randrange(1000, clock.executor.model_config.vocab_size) for _ in range(PROMPT_TOKENS)]
        sampling = SamplingParams(max_tokens=OUTPUT_TOKENS, temperature=0, ignore_eos=True)
        loop.handle(AddRequest(request_id=f"{concurrency}-{index}", prompt_token_ids=prompt, sampling=sampling, n=1))
    steps: list[float] = []
    models: list[float] = []
    prefilled, prefilling = 0, 0.0
    while loop.scheduler.has_work:
        output: StepOutput = loop.step()
        if output.stats.step_tokens == concurrency:
            steps.append(output.stats.step_seconds)
            models.append(clock.seconds[-1])
        elif output.stats.step_tokens > concurrency:
            prefilled, prefilling = prefilled + output.stats.step_tokens, prefilling + output.stats.step_seconds
    return steps, models, prefilled / prefilling


def main() -> None:
    settings, random = Settings(), Random(0)  # noqa: S311
    executor = Executor(prepare(settings, readable_progress()).engine)
    warm_up(executor)
    executor.cache.populate(available_memory)  # as the engine process does
    executor.model = clock = Clock(executor)
    loop = EngineLoop(executor, SimpleQueue(), lambda _message: None, prefix_caching=False)
    rows = []
    for concurrency in CONCURRENCY:
        rounds = [measure(loop, clock, concurrency, random) for _ in range(ROUNDS)]
        step = median(seconds for steps, _, _ in rounds for seconds in steps)
        model = median(seconds for _, models, _ in rounds for seconds in models)
        prefill = median(rate for _, _, rate in rounds)
        rows.append([str(concurrency), f"{1000 * step:.2f}", f"{1000 * model:.2f}", f"{concurrency / step:.0f}", f"{prefill:.0f}"])
    print(table(["sequences", "step, ms", "model, ms", "decoded tokens/s", "prefilled tokens/s"], rows))


if __name__ == "__main__":
    main()
