"""`llm-api smoke`."""

from typing import Annotated

import typer

from llm_api.cli.errors import CommandError, plain_errors, stops_on_sigterm

EPILOG = """
Examples:

`llm-api smoke`: tests the service on this machine

`API_KEY=sk-... llm-api smoke https://llm.example.com`: tests through the ingress, with a key

components/smoke runs it in the cluster after every sync.

Exit codes: 0 all checks passed, 1 one check failed.
"""


def smoke(
    url: Annotated[str, typer.Argument(help="Base URL of the service, without /v1.")] = "http://127.0.0.1:8000",
    key: Annotated[str | None, typer.Option(envvar="API_KEY", show_default=False, help="API key, if the service requires one.")] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to retry while the service does not answer or is busy.")] = 30,
) -> None:
    """Request the models, a chat completion and a stream from a running service. Fails unless all three responses are complete."""
    from llm_api.smoke import Smoke, SmokeFailed

    with plain_errors(), stops_on_sigterm():
        try:
            Smoke(url, key, patience, typer.echo).run()
        except SmokeFailed as failure:
            raise CommandError(f"smoke: {failure}", 1) from None
