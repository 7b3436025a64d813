"""The reference of the command lines, from their typer applications."""

import re
from importlib import import_module

import typer
from typer.cli import get_docs_for_click

from llm_api.cli.bench import bench
from llm_api.cli.commands import application as llm_api

BENCH = "llm-api bench"
SUMMARIES = re.compile(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+\n")  # cut off after 45 characters
HELP = re.compile(r"(?:\*\*Options\*\*:\n\n(?=\* `--help`))?\* `--help`.*\n")
BLANK_LINES = re.compile(r"\n{3,}")


def command_lines() -> str:
    """`llm-api bench` reads its options only when it runs, so they come from its own application."""
    measure = typer.Typer(add_completion=False)
    measure.command()(bench)
    general = _reference("llm-api", llm_api())
    before, heading, after = general.partition(f"\n### `{BENCH}`\n")
    _, next_heading, rest = after.partition("\n### ")
    options = _reference(BENCH, measure).removeprefix(f"## `{BENCH}`\n")
    whole = f"{before}{heading}{options}{next_heading}{rest}"
    return "\n".join([whole, *(_reference(f"python -m {package}", _application(package)) for package in ("delivery", "proxy"))])


def _application(package: str) -> typer.Typer:
    """The application of `python -m package`."""
    application: typer.Typer = import_module(f"{package}.__main__").application
    return application


def _reference(name: str, application: typer.Typer) -> str:
    command = typer.main.get_command(application)
    context = typer.Context(command, info_name=name)
    text = get_docs_for_click(obj=command, ctx=context, name=name, indent=1)
    return BLANK_LINES.sub("\n\n", HELP.sub("", SUMMARIES.sub("", text)))
