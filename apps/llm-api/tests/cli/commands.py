"""Runs the real command line in this process."""

from collections.abc import Mapping

from typer.testing import CliRunner, Result

from llm_api.cli.commands import application


def run_cli(*arguments: str, env: Mapping[str, str | None] | None = None, stdin: str | None = None) -> Result:
    return CliRunner().invoke(application(), list(arguments), env={"COLUMNS": "100", **(env or {})}, input=stdin, prog_name="llm-api")
