"""Runs in the API process: the outputs of one request, between the engine client and the request's handler."""

import asyncio

from llm_api.engine.errors import EngineDied
from llm_api.engine.messages import SequenceOutput


class RequestStream:
    """Buffers the outputs of a request's `n` sequences and tracks which sequences are unfinished."""

    def __init__(self, n: int) -> None:
        self.unfinished = set(range(n))
        self._pending: list[SequenceOutput] = []
        self._arrived = asyncio.Event()
        self._died: EngineDied | None = None

    def put(self, output: SequenceOutput) -> None:
        if output.index in self.unfinished:
            self._pending.append(output)
            self._arrived.set()

    def fail(self, error: EngineDied) -> None:
        self._died = error
        self._arrived.set()

    def drop(self, index: int) -> None:
        """Ignores further outputs of this sequence."""
        self.unfinished.discard(index)
        self._arrived.set()  # wakes a `get` that waits for this sequence alone

    async def get(self) -> list[SequenceOutput]:
        """Waits for outputs and returns all that have arrived, from several steps if the caller is slower than the engine."""
        await self._arrived.wait()
        outputs, self._pending = self._pending, []
        if self._died is None:
            self._arrived.clear()
        elif not outputs:
            raise self._died
        self.unfinished -= {output.index for output in outputs if output.finish_reason is not None}
        return outputs
