"""`llm-api serve`."""

from pathlib import Path
from typing import Annotated

import typer

from llm_api.cli.configuration import read_settings
from llm_api.cli.outcome import logged_errors, stops_on_sigterm

EPILOG = """
Examples:

`llm-api serve`: serves the default model on http://127.0.0.1:8000

`llm-api serve --model-path ~/models/tiny.Q8_0.gguf --model-name tiny`: serves a file

`MAX_NUM_SEQS=32 KV_CACHE_MEMORY=4GiB llm-api serve --port 9000`: sets what has no option: see `llm-api settings`

`QUANTIZATION=int4 llm-api serve`: weights in 4 bits, on a CPU: faster, and in less memory

SIGTERM drains: requests in flight are answered, then it exits with 0. A second one exits at once.

Exit codes: 1 the engine failed, 71 cannot listen on HOST and PORT, 78 bad setting, seen at once or by the engine; others as `llm-api pull`.
"""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Not loopback: needs API keys. (Env HOST; 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. (Env PORT; 8000)")] = None,
    model_path: Annotated[Path | None, typer.Option(help="Model folder or .gguf file. Wins over the URI. (Env MODEL_PATH)")] = None,
    model_uri: Annotated[str | None, typer.Option(help="Where to get it: hf://, s3://, file:// or package://. (Env MODEL_URI)")] = None,
    model_name: Annotated[str | None, typer.Option(help="Model id that clients send. (Env MODEL_NAME; the model's own)")] = None,
) -> None:
    """Serve the OpenAI API. Gets the model first, if it is not there yet."""
    with logged_errors():
        settings = read_settings(host=host, port=port, model_path=model_path, model_uri=model_uri, model_name=model_name)
        from llm_api.engine.launcher import engine_process

        with stops_on_sigterm(), engine_process() as process:  # it imports torch while this one imports the API and finds the model
            from llm_api.cli.service_run import ServiceRun

            exit_code = ServiceRun(settings, process).until_exit()
    raise typer.Exit(exit_code)
