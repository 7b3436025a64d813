"""A request's sequences in the engine: starts them, turns each step's outputs into deltas, cancels what is no longer needed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from hashlib import sha256
from typing import Protocol, TypeVar

from llm_api.engine.errors import EngineDied
from llm_api.engine.messages import EngineState, EngineStats, SamplingParams, SequenceOutput
from llm_api.protocol.errors import EngineFailed, InvalidRequest
from llm_api.protocol.response import Usage
from llm_api.service.choice import ChoiceDelta, GrowingChoice
from llm_api.service.plan import Plan, Prompt
from llm_api.service.request_record import RequestRecord
from llm_api.telemetry.context import current_request
from llm_api.tokenization.tokenizer import Tokenizer

Item = TypeVar("Item")


class Engine(Protocol):
    """The part of `llm_api.engine.client.EngineClient` that the service uses."""

    state: EngineState
    on_step: Callable[[EngineStats], None]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait_died(self) -> str: ...

    def generate(
        self, request_id: str, prompt_token_ids: list[int], sampling: SamplingParams, n: int = 1, *, priority: int = 0, tenant: str = ""
    ) -> AsyncGenerator[list[SequenceOutput]]: ...

    def cancel(self, request_id: str, index: int) -> None: ...

    def seconds_since_progress(self) -> float: ...


class RequestSequences:
    """One engine request for each prompt. Choices are numbered over all prompts: prompt i has those from i * n."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, plan: Plan, record: RequestRecord, request_id: str) -> None:
        self.plan = plan
        self._engine = engine
        self._tokenizer = tokenizer
        self._record = record
        self._tenant = _tenant(current_request().key_name)
        self._prompts = {f"{request_id}-{position}": prompt for position, prompt in enumerate(plan.prompts)}
        self._choices = {
            (name, index): self._choice(position * plan.n + index, prompt)
            for position, (name, prompt) in enumerate(self._prompts.items())
            for index in range(plan.n)
        }

    @property
    def usage(self) -> Usage:
        return self._record.usage

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncIterator[list[ChoiceDelta]]]:
        """Gives what each step adds to the choices. Leaving the block cancels what still runs. Raises EngineFailed."""
        with self._record:
            try:
                async with aclosing(merged([self._of_prompt(name, prompt) for name, prompt in self._prompts.items()])) as steps:
                    yield steps
            except EngineDied as error:
                raise EngineFailed("The engine stopped while it processed this request. Send it again.") from error

    async def _of_prompt(self, name: str, prompt: Prompt) -> AsyncGenerator[list[ChoiceDelta]]:
        """Advances the choices before prompts are merged, so that a stop string ends a sequence although a client reads slowly."""
        plan = self.plan
        stream = self._engine.generate(name, prompt.token_ids, plan.sampling, plan.n, priority=plan.priority, tenant=self._tenant)
        async with aclosing(stream) as steps:
            async for step in steps:
                yield self._advance(step)

    def _advance(self, step: list[SequenceOutput]) -> list[ChoiceDelta]:
        """What `step` adds to the choices: at most one delta for each."""
        deltas: dict[int, ChoiceDelta] = {}
        for output in step:
            choice = self._choices[output.request_id, output.index]
            if choice.finish_reason is None and (delta := self._advance_choice(choice, output)):
                earlier = deltas.get(choice.index)
                deltas[choice.index] = earlier.joined(delta) if earlier else delta
        return list(deltas.values())

    def _choice(self, index: int, prompt: Prompt) -> GrowingChoice:
        continued = prompt.token_ids if self.plan.joins_prompt else ()
        return GrowingChoice(index, self._tokenizer.detokenizer(continued, self.plan.kept_token_ids), self.plan, prompt.echo)

    def _advance_choice(self, choice: GrowingChoice, output: SequenceOutput) -> ChoiceDelta:
        if output.finish_reason == "error":
            message = output.error or "The engine failed on this request."
            raise InvalidRequest(message) if output.is_request_at_fault else EngineFailed(message)
        reasoned = choice.in_reasoning
        delta = choice.advance(output)
        self._record.output(choice.index, output, reasoned or choice.in_reasoning)
        if delta.finish_reason is not None:
            self._record.choice_finished(delta.finish_reason)
            if output.finish_reason is None:
                self._engine.cancel(output.request_id, output.index)
        return delta


def _tenant(key_name: str | None) -> str:
    """Whose share of the engine a request takes. Requests without a key share one."""
    return sha256(key_name.encode()).hexdigest()[:16] if key_name else ""


def merged(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[Item]:
    """Several streams as one. Closing it, or a failure of one stream, closes all of them."""
    return streams[0] if len(streams) == 1 else _merged(streams)


async def _merged(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[Item]:
    queue: asyncio.Queue[Item | _Ended] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(stream, queue)) for stream in streams]
    try:
        for _ in streams:
            while not isinstance(item_or_end := await queue.get(), _Ended):
                yield item_or_end
            if item_or_end.error is not None:
                raise item_or_end.error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Ended:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


async def _pump(stream: AsyncGenerator[Item], queue: "asyncio.Queue[Item | _Ended]") -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                queue.put_nowait(item)
    except Exception as error:
        queue.put_nowait(_Ended(error))
    else:
        queue.put_nowait(_Ended())
