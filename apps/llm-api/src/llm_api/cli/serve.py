"""`llm-api serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_api.cli.errors import logged_errors, stops_on_sigterm
from llm_api.cli.model import service_progress
from llm_api.cli.settings import read_settings

if TYPE_CHECKING:
    from llm_api.settings import Settings

EPILOG = """
Examples:

`llm-api serve`: serves the default model on http://127.0.0.1:8000

`llm-api serve --model-uri hf://Qwen/Qwen3-0.6B@main`: serves a model of the Hugging Face hub

`llm-api serve --model-path ~/models/tiny.Q8_0.gguf --model-name tiny`: serves a file, under the name `tiny`

`MAX_NUM_SEQS=32 KV_CACHE_MEMORY=4GiB llm-api serve --port 9000`: changes settings without an option; `llm-api settings` lists them

`llm-api check ~/models/Qwen3-0.6B`: says whether a model would be served, and with how much memory

`UPSTREAM_URL=http://127.0.0.1:8001 llm-api serve`: serves what vLLM or another engine at this address generates

`QUANTIZATION=int4 llm-api serve`: keeps the weights in 4 bits, on a CPU: faster, and with less memory

The first start downloads and converts the model. stderr shows the progress: a bar on a terminal, else plain lines.
The running service logs readable lines on a terminal, else JSON lines. `LOG_FORMAT=json` makes both JSON lines, for log collectors.

SIGTERM drains: the service answers the requests in flight, then exits with 0. A second SIGTERM exits at once.

Exit codes: 1 the engine failed, 71 cannot listen on HOST and PORT, 78 bad setting; others as `llm-api pull`.
"""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Any but loopback needs API keys. (Env HOST; 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. (Env PORT; 8000)")] = None,
    model_path: Annotated[
        Path | None, typer.Option(help="Model folder or .gguf file. Takes precedence over the URI. (Env MODEL_PATH)")
    ] = None,
    model_uri: Annotated[
        str | None, typer.Option(help="Where the model comes from: hf://, s3://, file:// or package://. (Env MODEL_URI)")
    ] = None,
    model_name: Annotated[str | None, typer.Option(help="Model id that clients send. (Env MODEL_NAME; the model's own)")] = None,
) -> None:
    """Serve the OpenAI API. Downloads the model first if the cache does not have it."""
    with logged_errors():
        settings = read_settings(host=host, port=port, model_path=model_path, model_uri=model_uri, model_name=model_name)
        from llm_api.server.listening import check_startable
        from llm_api.telemetry.logs import configure_logs

        configure_logs(settings.log_level, settings.log_format)
        check_startable(settings)
        exit_code = _serve_upstream(settings, settings.upstream_url) if settings.upstream_url else _serve_engine(settings)
    raise typer.Exit(exit_code)


def _serve_upstream(settings: "Settings", url: str) -> int:
    from llm_api.cli.upstream_run import UpstreamRun

    with stops_on_sigterm():
        return UpstreamRun(settings, url).until_exit()


def _serve_engine(settings: "Settings") -> int:
    from llm_api.cli.prepared_embedding import check_aliases, prepare_embedding
    from llm_api.cli.prepared_model import prepare
    from llm_api.engine.launcher import worker_process

    # The engine's process imports torch while this one gets the model and imports the API.
    with stops_on_sigterm(), worker_process("engine", "llm_api.engine") as process:
        progress = service_progress(settings.log_format)
        prepared, embedding = prepare(settings, progress), prepare_embedding(settings, progress)
        check_aliases(settings, [prepared.name, *([embedding.name] if embedding else [])])
        from llm_api.cli.service_run import ServiceRun

        return ServiceRun(settings, prepared, process, embedding).until_exit()
