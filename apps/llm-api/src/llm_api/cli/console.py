"""Where a command shows its progress: bars on a terminal, plain or JSON lines elsewhere."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_api.weights.progress import Progress


def terminal_progress() -> "Progress":
    """For people: on stderr, so that stdout holds a command's result alone."""
    from rich.console import Console

    from llm_api.weights.progress import LineProgress, TerminalProgress

    if sys.stderr.isatty():
        return TerminalProgress(Console(stderr=True))
    return LineProgress(lambda line: print(line, file=sys.stderr, flush=True))


def logged_progress() -> "Progress":
    """For a service whose output is collected: each line is a log record."""
    import structlog

    from llm_api.weights.progress import LineProgress

    log = structlog.stdlib.get_logger("llm_api.weights")
    return LineProgress(log.info)
