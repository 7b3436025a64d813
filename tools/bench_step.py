"""`make bench-step`: measures the duration of engine steps in one process without HTTP, and the share of the model and of grammars.

Uses the service's settings: `QUANTIZATION=int4 make bench-step`. Compare with `make bench` for the cost of HTTP.
"""

import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from random import Random
from statistics import median
from typing import Any

from torch import Tensor

from llm_api.cli.model import readable_progress
from llm_api.cli.prepared_model import prepare
from llm_api.engine.batch import Batch
from llm_api.engine.executor import Executor
from llm_api.engine.loop import EngineLoop, GrammarReady
from llm_api.engine.machine import available_memory
from llm_api.engine.messages import AddRequest, SamplingParams, ToEngine
from llm_api.engine.worker import warm_up
from llm_api.grammar.json_schema import schema_expression
from llm_api.grammar.lark import grammar
from llm_api.markdown import table
from llm_api.settings import Settings

PROMPT_TOKENS, OUTPUT_TOKENS = 105, 64  # as `make bench`
CONCURRENCY = (1, 4, 16)
ROUNDS = 3
PEOPLE: dict[str, Any] = {  # longer than OUTPUT_TOKENS
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
            "age": {"type": "integer"},
        },
        "required": ["name", "tags", "age"],
    },
    "minItems": 50,
}
GRAMMAR = grammar(schema_expression(PEOPLE))


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


@dataclass
class Steps:
    """Seconds of steps that decode all sequences, of the model in them, and tokens per second of the prefill steps."""

    decode: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    prefilled: int = 0
    prefilling: float = 0.0

    def add(self, tokens: int, seconds: float, concurrency: int, model: float) -> None:
        if tokens == concurrency:
            self.decode.append(seconds)
            self.model.append(model)
        elif tokens > concurrency:
            self.prefilled, self.prefilling = self.prefilled + tokens, self.prefilling + seconds


class Bench:
    def __init__(self, executor: Executor, clock: Clock) -> None:
        self._clock = clock
        self._random = Random(0)  # noqa: S311
        self._inbox: SimpleQueue[ToEngine | GrammarReady] = SimpleQueue()
        self._loop = EngineLoop(executor, self._inbox, lambda _message: None, prefix_caching=False)

    def measure(self, steps: Steps, concurrency: int, grammar: str | None) -> None:
        for index in range(concurrency):
            prompt = [self._random.randrange(1000, self._clock.executor.model_config.vocab_size) for _ in range(PROMPT_TOKENS)]
            sampling = SamplingParams(max_tokens=OUTPUT_TOKENS, temperature=0, ignore_eos=True, grammar=grammar)
            self._loop.handle(AddRequest(request_id=f"{concurrency}-{index}", prompt_token_ids=prompt, sampling=sampling, n=1))
        for _ in range(concurrency if grammar else 0):
            self._loop.handle(self._inbox.get())
        while self._loop.scheduler.has_work:
            stats = self._loop.step().stats
            steps.add(stats.step_tokens, stats.step_seconds, concurrency, self._clock.seconds[-1])


def main() -> None:
    executor = Executor(prepare(Settings(), readable_progress()).engine)
    warm_up(executor)
    executor.cache.populate(available_memory)  # as the engine process does
    executor.model = clock = Clock(executor)
    bench = Bench(executor, clock)
    rows = []
    for concurrency in CONCURRENCY:
        free, held = Steps(), Steps()
        for _ in range(ROUNDS):
            bench.measure(free, concurrency, None)
            bench.measure(held, concurrency, GRAMMAR)
        step, model, with_grammar = median(free.decode), median(free.model), median(held.decode)
        times = [f"{1000 * seconds:.2f}" for seconds in (step, model, with_grammar, (with_grammar - step) / concurrency)]
        rows.append([str(concurrency), *times, f"{concurrency / step:.0f}", f"{free.prefilled / free.prefilling:.0f}"])
    heads = ["step, ms", "model, ms", "step with JSON schemas, ms", "difference a sequence, ms", "decoded tokens/s", "prefilled tokens/s"]
    print(table(["sequences", *heads], rows))


if __name__ == "__main__":
    main()
