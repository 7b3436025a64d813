"""How a command that cannot do what it was asked for ends: one line, exit code 1."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from delivery.checks.scan import ScanError
from delivery.git import GitError
from delivery.image_pin import PinError
from delivery.kustomize import RenderError
from delivery.promote.refused import Refused
from delivery.tools import ToolsMissing


@contextmanager
def one_line() -> Iterator[None]:
    try:
        yield
    except (GitError, PinError, RenderError, Refused, ScanError, ToolsMissing) as error:
        typer.echo(f"delivery: {error}", err=True)
        raise typer.Exit(1) from None
