"""How a command ends: what went wrong is one line on stderr and an exit code, never a traceback. docs/runbook.md lists the codes."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer


class CommandError(Exception):
    """One line for whoever ran the command."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def plain_errors() -> Iterator[None]:
    from llm_api.weights.errors import WeightsError

    try:
        yield
    except (CommandError, WeightsError) as error:
        typer.echo(f"llm-api: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("llm-api: interrupted", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None


@contextmanager
def logged_errors() -> Iterator[None]:
    """For a service: what keeps it from starting is a record in the log, like all that it says later."""
    from llm_api.weights.errors import WeightsError

    try:
        yield
    except (CommandError, WeightsError) as error:
        _log_not_started(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _log_not_started("interrupted")
        raise typer.Exit(128 + signal.SIGINT) from None


def _log_not_started(reason: str) -> None:
    import structlog

    from llm_api.telemetry.logs import configure_logs

    if not structlog.is_configured():  # the settings are what is wrong
        configure_logs(log_format="json" if os.environ.get("LOG_FORMAT") == "json" else "auto")
    structlog.stdlib.get_logger("llm_api.serve").error("not started", reason=reason)


@contextmanager
def stops_on_sigterm() -> Iterator[None]:
    """As the first process of a container, ours is not ended by SIGTERM unless it handles it."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
