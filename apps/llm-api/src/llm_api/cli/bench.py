"""`llm-api bench`: its options are the benchmark's own, read only when it runs."""

import typer

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def bench(context: typer.Context) -> None:
    """Measure tokens per second and latency, beside any OpenAI-compatible servers."""
    from llm_api.bench.command import bench as run

    command = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    command.command()(run)
    command(context.args, prog_name="llm-api bench")
