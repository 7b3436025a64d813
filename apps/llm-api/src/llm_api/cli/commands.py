"""`llm-api` and its subcommands."""

from typing import Annotated

import typer

from llm_api.cli import bench, check, keys, pull, serve, settings, smoke

EPILOG = """
First steps:

`llm-api serve`: downloads the default model, once, and serves it on http://127.0.0.1:8000

`llm-api serve --model-uri hf://Qwen/Qwen3-0.6B@main --port 9000`: serves another model on another port

`llm-api check ~/models/Qwen3-0.6B`: says whether a model would be served, with how much memory and context

`llm-api keys new alice --file keys.txt`: makes an API key

`API_KEYS_FILE=keys.txt HOST=0.0.0.0 llm-api serve`: serves other machines, with the key

Every setting is an environment variable: `llm-api settings` lists them.
"""


def main() -> None:
    application()(prog_name="llm-api")


def application() -> typer.Typer:
    commands = typer.Typer(
        help="An OpenAI-compatible API on a continuous-batching torch engine.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    commands.callback()(_root)
    commands.command(epilog=serve.EPILOG)(serve.serve)
    commands.command(epilog=check.EPILOG)(check.check)
    commands.command(epilog=pull.EPILOG)(pull.pull)
    commands.add_typer(keys.application(), name="keys")
    commands.command(epilog=smoke.EPILOG)(smoke.smoke)
    commands.command(epilog=bench.EPILOG)(bench.bench)
    commands.command(epilog=settings.EPILOG)(settings.settings)
    return commands


def _version(wanted: bool) -> None:
    if wanted:
        from llm_api import __version__

        typer.echo(__version__)
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    pass
