"""Admission: limits the running sequences and the waiting requests. Refuses further requests before any work is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from llm_api.api.paths import EMBEDDING_PATHS, serves_model
from llm_api.protocol.errors import InvalidRequest, Overloaded
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

UNKNOWN_MAX_NUM_SEQS = 16


def sequences_admission(settings: Settings, service: ModelService, metrics: Metrics) -> "Admission":
    """Has MAX_NUM_SEQS places for running sequences and MAX_QUEUED_REQUESTS places for waiting ones."""

    def capacity() -> int:
        running = service.health().max_num_seqs or settings.max_num_seqs or UNKNOWN_MAX_NUM_SEQS
        return running + settings.max_queued_requests

    return Admission(capacity, Unit("sequences ('n' times prompts)", "n", "too_many_sequences"), metrics)


def inputs_admission(settings: Settings, metrics: Metrics) -> "Admission":
    """Has EMBEDDING_MAX_QUEUED_INPUTS places, for running and waiting inputs of embeddings."""
    return Admission(lambda: settings.embedding_max_queued_inputs, Unit("inputs", "input", "too_many_inputs"), metrics)


@dataclass(frozen=True, slots=True)
class Unit:
    """What a place is for, the field that decides how many a request needs, and the error's code."""

    name: str
    field: str
    code: str


class Admission:
    """A request takes its places only after its body was read: otherwise slow clients could block others."""

    def __init__(self, capacity: Callable[[], int], unit: Unit, metrics: Metrics) -> None:
        self._capacity = capacity
        self._unit = unit
        self._metrics = metrics
        self._taken = 0

    @property
    def capacity(self) -> int:
        return self._capacity()

    def check_free(self, count: int = 1) -> None:
        """Raises Overloaded if fewer than `count` places are free."""
        if self._taken + count > self.capacity:
            self._metrics.rejected("queue_full")
            raise Overloaded("Too many requests are running and waiting on this server; try again later.")

    @contextmanager
    def places(self, count: int) -> Iterator[None]:
        """Holds `count` places. Raises Overloaded if fewer are free now, and InvalidRequest if `count` exceeds the capacity."""
        if count > self.capacity:
            raise InvalidRequest(
                f"The request has {count} {self._unit.name}; this server accepts at most {self.capacity} at once.",
                param=self._unit.field,
                code=self._unit.code,
            )
        self.check_free(count)
        self._taken += count
        try:
            yield
        finally:
            self._taken -= count


class AdmissionMiddleware:
    """Refuses a request before its body is read."""

    def __init__(self, app: ASGIApp, sequences: Admission, inputs: Admission) -> None:
        self.app = app
        self._sequences = sequences
        self._inputs = inputs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and serves_model(scope["path"]):
            (self._inputs if scope["path"] in EMBEDDING_PATHS else self._sequences).check_free()
        await self.app(scope, receive, send)
