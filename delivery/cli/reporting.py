"""Exit codes, and errors in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from delivery.errors import DeliveryError

EXIT_CODES = "Exit codes: 0 done, or nothing to do; 1 refused or problems found, with the reason; 2 wrong usage."


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Prints a DeliveryError in one line and exits with code 1."""
    try:
        yield
    except DeliveryError as error:
        typer.echo(f"delivery: {error}", err=True)
        raise typer.Exit(1) from None


def fail(summary: str) -> NoReturn:
    typer.echo(summary, err=True)
    raise typer.Exit(1)


def count(problems: int) -> str:
    return "1 problem" if problems == 1 else f"{problems} problems"
