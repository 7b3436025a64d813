"""Structured logs, including those of libraries: JSON lines, or a readable form on a terminal."""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from llm_api.telemetry.context import current_request

LogFormat = Literal["auto", "json", "console"]


def configure_logs(level: str = "info", log_format: LogFormat = "auto") -> None:
    """Call once at the start of the process. Logs go to stderr. `auto` is console on a terminal, else json."""
    shared: list[Processor] = [
        _add_request_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(log_format)))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in ("uvicorn", "httpx2"):  # server.py logs uvicorn's start and stop; httpx2 logs URLs, which may be signed
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))


def _add_request_id(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if request_id := current_request().request_id:
        event["request_id"] = request_id
    return event


def _rendering(log_format: LogFormat) -> list[Processor]:
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "console" or (log_format == "auto" and sys.stderr.isatty()):
        return [strip, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [strip, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
