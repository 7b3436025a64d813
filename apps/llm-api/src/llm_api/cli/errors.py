"""Errors of commands: one line on stderr and an exit code, never a traceback. docs/runbook.md lists the exit codes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import typer

from llm_api.refusal import Refusal


class CommandError(Refusal):
    """A command cannot do what it was asked to."""


def plain_errors() -> AbstractContextManager[None]:
    """Prints the error as a line of text."""
    return _reported(lambda reason: typer.echo(f"llm-api: {reason}", err=True))


def logged_errors() -> AbstractContextManager[None]:
    """Logs the error as a record, because the service writes only log records."""
    return _reported(_log_not_started)


@contextmanager
def _reported(report: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except Refusal as error:
        report(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        report("interrupted")
        raise typer.Exit(128 + signal.SIGINT) from None


def _log_not_started(reason: str) -> None:
    import structlog

    from llm_api.telemetry.logs import configure_logs

    if not structlog.is_configured():  # the settings themselves are invalid
        configure_logs(log_format="json" if os.environ.get("LOG_FORMAT") == "json" else "auto")
    structlog.stdlib.get_logger("llm_api.serve").error("not started", reason=reason)


@contextmanager
def stops_on_sigterm() -> Iterator[None]:
    """The first process of a container ignores SIGTERM unless it handles it."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
