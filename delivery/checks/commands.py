"""The commands that the workflows run besides delivery itself."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from delivery.checks.changed import changed
from delivery.checks.required import required
from delivery.checks.scan import Scan
from delivery.git import Git
from delivery.one_line import one_line
from delivery.tools import built


def add_checks(application: typer.Typer) -> None:
    for name, command in (("changed", _changed), ("required", _required), ("scan", _scan)):
        application.command(name)(command)


def _changed(base: Annotated[str, typer.Option(envvar="BASE", help="What HEAD is compared with.")] = "origin/main") -> None:
    """Say whether the change since BASE must be tried on a cluster. In a workflow, that is the output `cluster`, too."""
    with one_line():
        files = changed(Git(Path(), "origin", "main"), base)
        said = f"cluster={'true' if files else 'false'}"
        typer.echo("\n".join([said, *(f"  {file}" for file in files[:10])]))
        if output := os.environ.get("GITHUB_OUTPUT"):
            with Path(output).open("a", encoding="utf-8") as outputs:
                outputs.write(said + "\n")


def _required(needs: Annotated[str, typer.Option(envvar="NEEDS", help="GitHub's context `needs`, as JSON.")]) -> None:
    """Fail unless every job passed, or was left out because nothing that it tries has changed."""
    told = required(json.loads(needs))
    for line in told:
        typer.echo(line, err=True)
    if told:
        raise typer.Exit(1)


def _scan(
    image: Annotated[str, typer.Option(envvar="IMAGE", help="By digest.")],
    accepted: Annotated[Path, typer.Option(help="What is let through.")] = Path("delivery/checks/vulnerabilities.yaml"),
) -> None:
    """Fail for a known vulnerability that is high or critical, has a fix, and is not accepted."""
    with one_line():
        typer.echo(Scan(image, accepted, built("scan") / "grype").run(datetime.now(UTC).date()))
