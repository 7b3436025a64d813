"""Bounds the memory of bodies that are still arriving. They hold no place of admission, so slow senders hold up nobody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from llm_api.api.cutoff import Cutoff
from llm_api.protocol.errors import Overloaded
from llm_api.telemetry.metrics import Metrics

FULL_BODIES = 16
CONNECTION_BUFFER = 128 * 1024  # bytes that sockets and uvicorn hold of a body beside what was read of it


class UnreadBodies:
    """In all they take as much as FULL_BODIES of the largest allowed. For more, those that began first are refused."""

    def __init__(self, max_body_size: int, metrics: Metrics) -> None:
        self._limit = FULL_BODIES * (max_body_size + CONNECTION_BUFFER)
        self._metrics = metrics
        self._sizes: dict[Cutoff, int] = {}  # in the order of their beginning
        self._total = 0

    @contextmanager
    def receiving(self, cutoff: Cutoff) -> Iterator[Callable[[int], None]]:
        """Gives what must be told how many bytes were read. `cutoff` is cut when the body has to go."""
        self._sizes[cutoff] = 0
        self._grow(cutoff, CONNECTION_BUFFER)
        try:
            yield partial(self._grow, cutoff)
        finally:
            self._total -= self._sizes.pop(cutoff, 0)

    def _grow(self, cutoff: Cutoff, size: int) -> None:
        if cutoff not in self._sizes:  # cut, and about to end
            return
        self._sizes[cutoff] += size
        self._total += size
        while self._total > self._limit:
            self._refuse(next(iter(self._sizes)))

    def _refuse(self, cutoff: Cutoff) -> None:
        self._total -= self._sizes.pop(cutoff)
        self._metrics.rejected("unread_bodies")
        cutoff.cut(Overloaded("Too many unfinished bodies are on their way to this server; send it again, faster."))
