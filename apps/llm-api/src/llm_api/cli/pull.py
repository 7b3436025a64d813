"""`llm-api pull`."""

from pathlib import Path
from typing import Annotated

import typer

from llm_api.cli.configuration import read_settings
from llm_api.cli.console import terminal_progress
from llm_api.cli.outcome import plain_errors, stops_on_sigterm

EPILOG = """
Examples:

`llm-api pull`: gets what `llm-api serve` would serve

`llm-api pull hf://Qwen/Qwen3-0.6B@main`: gets a model of the hub; with a branch, its newest commit

`llm-api pull s3://bucket/models/Qwen3-0.6B`: gets a folder of a bucket, by AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on

`MODEL_CACHE=/models llm-api pull --verify`: fills a volume and proves it: in an init container, or an image build

An interrupted download goes on where it stopped. A gated repository needs HF_TOKEN.

Exit codes: 65 bad data or checksum, 66 not found, 69 no network, 73 cache not writable, 74 disk full, 77 not authorised, 78 bad setting.
"""


def pull(
    model: Annotated[str | None, typer.Argument(help="Model URI, folder or .gguf file. Default: MODEL_PATH, else MODEL_URI.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Hash every file again and compare with what was recorded.")] = False,
) -> None:
    """Get a model and make it ready to serve, without serving it. Prints its folder."""
    with plain_errors(), stops_on_sigterm():
        from llm_api.cli.model import find_model
        from llm_api.weights import checksums

        progress = terminal_progress()
        source = find_model(read_settings(**_named(model)), progress, refresh=True)
        if verify:
            count = checksums.verify(source.path, progress)
            progress.note(f"verified {count} files")
        typer.echo(source.path)


def _named(model: str | None) -> dict[str, str | Path | None]:
    if model and "://" in model:
        return {"model_uri": model}
    return {"model_path": Path(model) if model else None}
