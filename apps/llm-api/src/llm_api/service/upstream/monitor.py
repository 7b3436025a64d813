"""Watches the engine: what it is, whether it loads, and whether it makes progress."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog
from pydantic_core import from_json

from llm_api.service.model_service import ServiceHealth, ServicePhase
from llm_api.service.upstream.connection import UpstreamConnection
from llm_api.service.upstream.kind import Kind
from llm_api.service.upstream.kinds import KINDS, OTHER, TGI
from llm_api.service.upstream.scrape import EngineGauges, scraped
from llm_api.telemetry.metrics import Metrics

INTERVAL = 1.0  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that the engine may load, and that it may be silent while it has requests."""

    load_timeout: float
    stall_timeout: float


@dataclass(frozen=True, slots=True)
class UpstreamModel:
    id: str
    max_model_len: int | None


class Monitor:
    def __init__(self, kind: Kind | None, model: str | None, limits: Limits, metrics: Metrics) -> None:
        """`kind`: None asks the engine. `model`: its id there; None takes the engine's first one."""
        self.kind = kind
        self.model: UpstreamModel | None = None
        self.ready = asyncio.Event()  # set when the engine is ready for the first time
        self._asked_kind, self._asked_model = kind, model
        self._limits = limits
        self._metrics = metrics
        self._phase: ServicePhase = "loading"
        self._detail = "waiting for the engine"
        self._phase_since = self._progress = time.monotonic()
        self._open = 0
        self._counted: float | None = None

    def progressed(self) -> None:
        self._progress = time.monotonic()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Progress is expected as long as a request is open."""
        if not self._open:
            self.progressed()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def health(self) -> ServiceHealth:
        now = time.monotonic()
        silence = now - (self._phase_since if self._phase == "loading" else self._progress)
        limit = self._limits.load_timeout if self._phase == "loading" else self._limits.stall_timeout
        progressing = silence < limit
        detail = self._detail if progressing else f"{self._detail}, no progress for {silence:.0f} s"
        phase = self._phase if progressing else "failed"
        return ServiceHealth(phase, progressing, detail, engine_is_apart=True)

    async def watch(self, connection: UpstreamConnection) -> None:
        """Does not return."""
        while True:
            try:
                await self._look(connection)
            except TimeoutError:
                if self._phase == "loading" or not self._open:
                    self._lost("the engine does not answer")
            except OSError as error:
                self._lost("the engine cannot be reached", reason=str(error))
            except Exception as error:
                log = structlog.stdlib.get_logger("llm_api.service.upstream")
                log.exception("the engine's state cannot be read")
                self._lost(f"the engine's state cannot be read: {type(error).__name__}")
            await asyncio.sleep(INTERVAL)

    async def _look(self, connection: UpstreamConnection) -> None:
        listed: list[dict[str, Any]] = []
        if self._phase != "ready":
            status, body = await connection.get("/v1/models")
            if status != 200:
                self._lost(f"the engine's /v1/models answers {status}")
                return
            listed = _listed(body)
            self.kind = self.kind or await _recognised(connection, listed)
        kind = self.kind or OTHER
        status, _ = await connection.get(kind.health_path)
        if status not in {200, 204, 404}:  # 404: an older version without this path
            self._lost(f"the engine's {kind.health_path} answers {status}")
            return
        if self._phase != "ready":
            await self._connect(connection, kind, listed)
        if self._phase == "ready":
            await self._measure(connection, kind)

    async def _connect(self, connection: UpstreamConnection, kind: Kind, listed: list[dict[str, Any]]) -> None:
        model = _chosen(listed, self._asked_model)
        if model is None:
            ids = ", ".join(str(found.get("id")) for found in listed) or "its models"
            self._lost(f"the engine has no model {self._asked_model!r}: set UPSTREAM_MODEL to one of {ids}")
            return
        self.model = await _with_length(model, connection, kind)
        self._enter("ready", "ready")
        log = structlog.stdlib.get_logger("llm_api.service.upstream")
        log.info("engine ready", engine=kind.title, model=model.id, max_model_len=self.model.max_model_len)

    async def _measure(self, connection: UpstreamConnection, kind: Kind) -> None:
        """An engine that answers has made progress if it has no request; else its counters must move."""
        if not self._open:
            self.progressed()
        if kind.metrics_path is None:
            return
        status, body = await connection.get(kind.metrics_path)
        if status != 200:
            return
        values = scraped(body.decode(errors="replace"), (*kind.counters, *kind.gauges.values()))
        self._metrics.step(EngineGauges(kind.gauges, values))
        if kind.counters and (count := sum(values.get(name, 0) for name in kind.counters)) != self._counted:
            self._counted = count
            self.progressed()

    def _lost(self, detail: str, reason: str = "") -> None:
        """Back to loading: whoever runs the engine restarts it. `detail` is public, `reason` is only logged."""
        if detail != self._detail:
            log = structlog.stdlib.get_logger("llm_api.service.upstream")
            log.warning("engine not ready", detail=detail, reason=reason)
        self.kind = self._asked_kind
        self._enter("loading", detail)

    def _enter(self, phase: ServicePhase, detail: str) -> None:
        if phase != self._phase:
            self._phase, self._phase_since = phase, time.monotonic()
        self._detail = detail
        if phase == "ready":
            self.ready.set()
            self.progressed()


def _listed(body: bytes) -> list[dict[str, Any]]:
    content = from_json(body)
    return content.get("data") or [] if isinstance(content, dict) else []


async def _recognised(connection: UpstreamConnection, listed: list[dict[str, Any]]) -> Kind:
    owner = listed[0].get("owned_by") if listed else None
    for kind in KINDS.values():
        if kind.owned_by is not None and owner == kind.owned_by:
            return kind
    status, body = await connection.get(TGI.info_path or "")
    return TGI if status == 200 and b"text-generation-router" in body else OTHER


async def _with_length(model: UpstreamModel, connection: UpstreamConnection, kind: Kind) -> UpstreamModel:
    """TGI tells the context length elsewhere."""
    if model.max_model_len is not None or kind.info_path is None:
        return model
    status, body = await connection.get(kind.info_path)
    length = from_json(body).get("max_total_tokens") if status == 200 else None
    return replace(model, max_model_len=length if isinstance(length, int) else None)


def _chosen(listed: list[dict[str, Any]], wanted: str | None) -> UpstreamModel | None:
    found = next((model for model in listed if wanted in (None, model.get("id"))), None)
    if found is None:
        return None
    length = found.get("max_model_len") or (found.get("meta") or {}).get("n_ctx")
    return UpstreamModel(found["id"], length if isinstance(length, int) else None)
