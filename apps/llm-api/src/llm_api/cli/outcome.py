"""How a command ends: what went wrong is one line on stderr and an exit code, never a traceback."""

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
def stops_on_sigterm() -> Iterator[None]:
    """As the first process of a container, ours is not ended by SIGTERM unless it handles it."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
