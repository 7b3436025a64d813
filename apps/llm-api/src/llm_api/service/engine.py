"""What the service needs of an engine. `llm_api.engine.client.EngineClient` is one."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from llm_api.engine.messages import EngineState, EngineStats, SamplingParams, SequenceOutput


class Engine(Protocol):
    state: EngineState
    on_step: Callable[[EngineStats], None]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait_died(self) -> str: ...

    def generate(
        self, request_id: str, prompt_token_ids: list[int], sampling: SamplingParams, n: int = 1
    ) -> AsyncGenerator[list[SequenceOutput]]: ...

    def cancel(self, request_id: str, index: int) -> None: ...

    def seconds_since_progress(self) -> float: ...
