"""Bounds what the service holds: sequences that run and requests that wait. More is refused before any work."""

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
    """Places for MAX_NUM_SEQS running sequences and MAX_QUEUED_REQUESTS waiting ones. A request takes as many as it
    makes sequences, once its body was read: until then a slow sender would keep others out."""

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
        """Raises Overloaded when fewer places are free."""
        if self._taken + count > self.capacity:
            self._metrics.rejected("queue_full")
            raise Overloaded("Too many requests are running and waiting on this server; try again later.")

    @contextmanager
    def places(self, count: int) -> Iterator[None]:
        """Raises Overloaded, at once, when they are not free, and InvalidRequest when they could never be."""
        if count > self.capacity:
            raise InvalidRequest(
                f"The request asks for {count} sequences ('n' times prompts); this server takes at most {self.capacity} at once.",
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
    """Refuses before any work, the reading of the body included."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self.app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and serves_model(scope["path"]):
            self._admission.check_free()
        await self.app(scope, receive, send)
