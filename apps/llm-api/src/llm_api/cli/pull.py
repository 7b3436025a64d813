"""`llm-api pull`."""

from typing import Annotated

import typer

from llm_api.cli.errors import plain_errors, stops_on_sigterm
from llm_api.cli.model import find_model, readable_progress, settings_for

EPILOG = """
Examples:

`llm-api pull`: gets the model that `llm-api serve` would serve, and the one of EMBEDDING_MODEL_URI

`llm-api pull hf://Qwen/Qwen3-0.6B@main`: gets a model of the Hugging Face hub; of a branch, the newest commit

`llm-api pull s3://bucket/models/Qwen3-0.6B`: gets a folder of a bucket; AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on apply

`MODEL_CACHE=/models llm-api pull --verify`: fills a volume and verifies it, in an init container or an image build

An interrupted download resumes. A gated repository needs HF_TOKEN.

stdout contains only the folders of the models. stderr shows the progress: a bar on a terminal, else plain lines.

Exit codes: 65 bad data or checksum, 66 not found, 69 no network, 73 cache not writable, 74 disk full, 77 not authorised, 78 bad setting.
"""


def pull(
    model: Annotated[str | None, typer.Argument(help="Model URI, folder or .gguf file. Default: MODEL_PATH, else MODEL_URI.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Hash every file again and compare it with its recorded checksum.")] = False,
) -> None:
    """Download and convert a model without serving it. Prints its folder."""
    with plain_errors(), stops_on_sigterm():
        from llm_api.cli.prepared_embedding import prepare_embedding
        from llm_api.weights import checksums

        progress, settings = readable_progress(), settings_for(model)
        folders = [find_model(settings, progress, refresh=True).path]
        if model is None and (embedding := prepare_embedding(settings, progress, refresh=True)):
            folders.append(embedding.path)
        for folder in folders:
            if verify:
                count = checksums.verify(folder, progress)
                progress.note(f"verified {count} files")
            typer.echo(folder)
