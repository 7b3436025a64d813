"""Gets the model that the settings name, and shows the progress of downloads and conversions."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llm_api.cli.settings import read_settings

if TYPE_CHECKING:
    from llm_api.settings import Settings
    from llm_api.weights.progress import Progress
    from llm_api.weights.resolve import ServableModel


def find_model(settings: "Settings", progress: "Progress", *, refresh: bool = False) -> "ServableModel":
    """Downloads and converts the model if the cache does not have it. Raises WeightsError."""
    from llm_api.weights.resolve import resolve

    return resolve(
        settings.model_path,
        settings.model_uri,
        settings.model_cache,
        progress,
        allow_remote_code=settings.allow_remote_code,
        refresh=refresh,
    )


def settings_for(model: str | None) -> "Settings":
    """The settings, with a model that the command line names: a URI, a folder or a .gguf file. Raises CommandError."""
    if model and "://" in model:
        return read_settings(model_uri=model).model_copy(update={"model_path": None})
    return read_settings(model_path=Path(model) if model else None)


def readable_progress() -> "Progress":
    """Bars on a terminal, else plain lines. Uses stderr, so that stdout has only the command's result."""
    from rich.console import Console

    from llm_api.weights.progress import LineProgress, TerminalProgress

    if sys.stderr.isatty():
        return TerminalProgress(Console(stderr=True))
    return LineProgress(lambda line: print(line, file=sys.stderr, flush=True))


def service_progress(log_format: str) -> "Progress":
    """For the start of a service. With LOG_FORMAT=json the progress is logged, because log collectors then expect JSON lines only."""
    import structlog

    from llm_api.weights.progress import LineProgress

    return LineProgress(structlog.stdlib.get_logger("llm_api.weights").info) if log_format == "json" else readable_progress()
