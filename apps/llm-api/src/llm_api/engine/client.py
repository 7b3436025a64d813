"""The API process's end of the engine. (Interface; being written.)"""

from collections.abc import AsyncIterator

from llm_api.engine.messages import EngineConfig, EngineInfo, EngineState, EngineStats, SamplingParams, SequenceOutput


class EngineDied(Exception):
    """The engine process ended, or refused to load. Every request in flight gets this."""


class EngineClient:
    """Starts the engine process and passes requests to it. One event loop, no torch."""

    state: EngineState
    stats: EngineStats | None  # of the last step
    pid: int | None

    def __init__(self, config: EngineConfig) -> None: ...

    async def start(self) -> None:
        """Spawns the process and returns at once; `state` tells how loading goes."""

    async def wait_ready(self) -> EngineInfo:
        """Returns once the engine is ready. Raises EngineDied with its one-line reason when it cannot load."""
        raise NotImplementedError

    async def wait_died(self) -> str:
        """Returns the reason when the process has ended without `stop`; else waits forever."""
        raise NotImplementedError

    def generate(self, request_id: str, prompt_token_ids: list[int], sampling: SamplingParams, n: int = 1) -> AsyncIterator[list[SequenceOutput]]:
        """Yields what each step made for this request (outputs of its sequences), until all n have a finish_reason.

        Closing the iterator early (aclose, task cancelled) cancels the request in the engine. Raises EngineDied.
        """
        raise NotImplementedError

    def cancel(self, request_id: str, index: int) -> None:
        """Ends one sequence (its stop string was seen); no more outputs come for it and `generate` counts it as finished."""

    def seconds_since_progress(self) -> float:
        """0 while idle; else the age of the last sign of progress (a step, a state change, the first request after idling)."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Ends the process: asks, then after 5 s kills. No child is left."""
