"""Commands for the workflows."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from delivery.checks.changed import changed as files_changed
from delivery.checks.changed import not_passed
from delivery.checks.scan import Scan
from delivery.cli.reporting import errors_in_one_line, fail
from delivery.git.remote import Git
from delivery.go_tools import built

TITLE = "Continuous integration"


def changed(base: Annotated[str, typer.Option(envvar="BASE", help="The commit that HEAD is compared with.")] = "origin/main") -> None:
    """Report whether the change since BASE needs a check on a cluster. In a workflow, also set the output `cluster`."""
    with errors_in_one_line():
        files = files_changed(Git(Path(), "origin", "main"), base)
        result = f"cluster={'true' if files else 'false'}"
        typer.echo("\n".join([result, *(f"  {file}" for file in files[:10])]))
        if output := os.environ.get("GITHUB_OUTPUT"):
            with Path(output).open("a", encoding="utf-8") as outputs:
                outputs.write(result + "\n")


def required(needs: Annotated[str, typer.Option(envvar="NEEDS", help="GitHub's context `needs`, as JSON.")]) -> None:
    """Fail unless every job passed, or was skipped because the change cannot affect it."""
    if failed := not_passed(json.loads(needs)):
        fail("\n".join(failed))


def scan(
    image: Annotated[str, typer.Option(envvar="IMAGE", help="The image, by digest.")],
    accepted: Annotated[Path, typer.Option(help="The accepted vulnerabilities.")] = Path("delivery/checks/vulnerabilities.yaml"),
) -> None:
    """Fail for a known vulnerability that is high or critical, has a fix and is not accepted."""
    with errors_in_one_line():
        typer.echo(Scan(image, accepted, built("scan") / "grype").run(datetime.now(UTC).date()))


COMMANDS = {"changed": (changed, None), "required": (required, None), "scan": (scan, None)}
