"""An engine that generates scripted tokens."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from llm_api.engine.errors import EngineDied
from llm_api.engine.messages import EngineFinishReason, EngineInfo, EngineState, EngineStats, SamplingParams, SequenceOutput, TokenLogprobs

INFO = EngineInfo(
    max_model_len=256,
    max_num_seqs=16,
    vocab_size=49152,
    device="cpu",
    dtype="bfloat16",
    runner="native",
    quantization="none",
    kv_cache_tokens=4096,
    load_seconds=1,
)


@dataclass
class ScriptedEngine:
    """Replaces `llm_api.engine.client.EngineClient` and the engine process: the same calls, the same outputs.

    Sequence i of a request generates the tokens of `scripts[i]`, `pace` of them in each step, and then ends.
    """

    scripts: list[list[int]]
    end_of_text: int = 2
    pace: int = 1
    together: int = 1  # number of steps whose outputs are in one list, as for a slow handler
    cached_tokens: int = 0
    fails: tuple[int, int] | None = None  # sequence and step
    dies_at: int | None = None
    holds_at: int | None = None  # the step before which it waits for `released`
    released: asyncio.Event = field(default_factory=asyncio.Event)
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    state: EngineState = field(default_factory=lambda: EngineState(phase="ready", info=INFO))
    silence: float = 0
    requests: list[tuple[list[int], SamplingParams, int]] = field(default_factory=list)
    places: list[tuple[int, str]] = field(default_factory=list)  # priority and tenant of each request
    running: set[str] = field(default_factory=set)
    unfinished: dict[str, set[int]] = field(default_factory=dict)
    cancelled: list[tuple[str, int]] = field(default_factory=list)
    started = False

    def __post_init__(self) -> None:
        self.on_step: Callable[[EngineStats], None] = lambda _stats: None

    async def generate(
        self, request_id: str, prompt_token_ids: list[int], sampling: SamplingParams, n: int = 1, *, priority: int = 0, tenant: str = ""
    ) -> AsyncGenerator[list[SequenceOutput]]:
        self.requests.append((prompt_token_ids, sampling, n))
        self.places.append((priority, tenant))
        self.running.add(request_id)
        unfinished = self.unfinished[request_id] = set(range(n))
        step, late = 0, list[SequenceOutput]()
        try:
            while unfinished:
                await self._pass_step(step)
                outputs = [self._output(request_id, index, step, prompt_token_ids, sampling) for index in sorted(unfinished)]
                unfinished -= {output.index for output in outputs if output.finish_reason}
                late += outputs
                step += 1
                if step % self.together == 0 or not unfinished:
                    yield late
                    late = []
        finally:
            self.running.discard(request_id)

    async def _pass_step(self, step: int) -> None:
        await asyncio.sleep(0)
        if step == self.holds_at:
            self.holding.set()
            await self.released.wait()
        if step == self.dies_at:
            raise EngineDied("the engine process was killed by SIGKILL")

    def _output(self, request_id: str, index: int, step: int, prompt: Sequence[int], sampling: SamplingParams) -> SequenceOutput:
        if self.fails == (index, step):
            return SequenceOutput(
                request_id=request_id, index=index, token_ids=[], finish_reason="error", error="Its logits are not finite."
            )
        tokens = [*self.scripts[index % len(self.scripts)], self.end_of_text][: sampling.max_tokens]
        start, end = step * self.pace, (step + 1) * self.pace
        reason: EngineFinishReason | None = None if end < len(tokens) else "stop" if tokens and tokens[-1] == self.end_of_text else "length"
        return SequenceOutput(
            request_id=request_id,
            index=index,
            token_ids=tokens[start:end],
            logprobs=None if sampling.logprobs is None else [scores(token, sampling.logprobs) for token in tokens[start:end]],
            prompt_logprobs=self._prompt_scores(prompt, sampling) if step == 0 else None,
            cached_tokens=self.cached_tokens if step == 0 else 0,
            finish_reason=reason,
        )

    def _prompt_scores(self, prompt: Sequence[int], sampling: SamplingParams) -> list[TokenLogprobs | None] | None:
        top = sampling.prompt_logprobs
        return None if top is None else [None, *(scores(token, top) for token in prompt[1:])]

    def cancel(self, request_id: str, index: int) -> None:
        self.cancelled.append((request_id, index))
        self.unfinished[request_id].discard(index)

    def seconds_since_progress(self) -> float:
        return self.silence

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False

    async def wait_died(self) -> str:
        await self.released.wait()
        return "the engine process was killed by SIGKILL"


def scores(token: int, top: int) -> TokenLogprobs:
    """A token's logprob encodes its id. The most likely tokens have the ids from 1000."""
    return TokenLogprobs(-token / 1000, [(1000 + rank, -rank / 10) for rank in range(top)])
