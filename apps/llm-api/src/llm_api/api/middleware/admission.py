"""Admission: limits the running sequences and the waiting requests. Refuses further requests before any work is done."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from llm_api.api.paths import serves_model
from llm_api.protocol.errors import InvalidRequest, Overloaded
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

UNKNOWN_MAX_NUM_SEQS = 16


class Admission:
    """Has MAX_NUM_SEQS places for running sequences and MAX_QUEUED_REQUESTS places for waiting ones.

    A request takes one place per sequence, and only after its body was read: otherwise slow clients could block others.
    """

    def __init__(self, settings: Settings, service: ModelService, metrics: Metrics) -> None:
        self._settings = settings
        self._service = service
        self._metrics = metrics
        self._taken = 0

    @property
    def capacity(self) -> int:
        running = self._service.health().max_num_seqs or self._settings.max_num_seqs or UNKNOWN_MAX_NUM_SEQS
        return running + self._settings.max_queued_requests

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
                f"The request has {count} sequences ('n' times prompts); this server accepts at most {self.capacity} at once.",
                param="n",
                code="too_many_sequences",
            )
        self.check_free(count)
        self._taken += count
        try:
            yield
        finally:
            self._taken -= count


class AdmissionMiddleware:
    """Refuses a request before its body is read."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self.app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and serves_model(scope["path"]):
            self._admission.check_free()
        await self.app(scope, receive, send)
