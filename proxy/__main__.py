"""`python -m proxy up`, `down`, `restart`, `status` and `bench`, behind make targets."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from llm_api.bench.exchange import BenchError
from llm_api.bench.load import Load
from llm_api.markdown import replace_section
from llm_api.settings import Settings
from proxy import ProxyError
from proxy.compose import Compose
from proxy.nginx import has_nginx
from proxy.overhead import measure_overhead
from proxy.processes import Processes
from proxy.settings import ProxySettings

SECTION = "proxy-bench"
application = typer.Typer(
    help="nginx in front of replicas of the service, on this machine. Settings are environment variables: docs/proxy.md.",
    no_args_is_help=True,
    add_completion=False,
)
KEY_OPTION = '-H "authorization: Bearer $KEY" '
CURL = """curl {trust}{url}/v1/chat/completions {key}-H 'content-type: application/json' \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "What is Kubernetes?"}}]}}'"""


@application.command()
def up() -> None:
    """Start nginx and the replicas, or apply changed settings. Returns once all are ready."""
    with errors_as_one_line():
        settings = ProxySettings()
        model = runtime(settings).up(typer.echo)
        typer.echo(announcement(settings, model))


@application.command()
def down() -> None:
    """Stop nginx and the replicas once running requests have ended."""
    with errors_as_one_line():
        runtime(ProxySettings()).down(typer.echo)


@application.command()
def restart() -> None:
    """Restart one replica after another, for new code or changed model files.

    With several replicas no request is lost. To change settings, use `up`.
    """
    with errors_as_one_line():
        runtime(ProxySettings()).restart(typer.echo)


@application.command()
def status() -> None:
    """Show the state of nginx, each replica and the liveness check."""
    with errors_as_one_line():
        runtime(ProxySettings()).status(typer.echo)


@application.command()
def bench(
    concurrency: Annotated[int, typer.Option(min=1, help="Number of clients.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds. Each starts with another of the three targets.")] = 5,
    requests_per_client: Annotated[int, typer.Option(min=1, help="Requests per client and round.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=2, help="Output tokens per request.")] = 64,
    markdown: Annotated[Path, typer.Option(help=f"File for the table, between its `{SECTION}` markers.")] = Path("docs/proxy.md"),
) -> None:
    """Measure nginx's overhead: one replica directly, directly again, and through nginx, in turns."""
    with errors_as_one_line():
        load = Load(concurrency, requests_per_client, max_tokens)
        try:
            overhead = asyncio.run(measure_overhead(load, rounds, lambda run: typer.echo(f"round {run.round}  {run.server}", err=True)))
        except BenchError as error:
            raise ProxyError(str(error)) from None
    typer.echo(overhead.to_markdown())
    text = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
    markdown.write_text(replace_section(text, SECTION, overhead.to_markdown()), encoding="utf-8")


def runtime(settings: ProxySettings) -> Processes | Compose:
    """Chooses by RUNTIME. With auto, processes that are already running take precedence."""
    processes = Processes(settings)
    without_nginx = settings.runtime == "auto" and not processes.running and not has_nginx() and shutil.which("docker")
    return Compose(settings) if settings.runtime == "compose" or without_nginx else processes


def announcement(settings: ProxySettings, model: str) -> str:
    """The URLs, and a curl command to try."""
    service, ca = Settings(), settings.home / "tls" / "ca.pem"
    trust = "" if settings.tls_certificate else f"--cacert {ca} "
    lines = [
        "",
        f"{settings.url}/v1    the API; {settings.url}/docs its reference",
        f"{settings.url}/healthz/pool    200 while any replica is ready",
        *([f"{ca}    the CA that clients must trust: SSL_CERT_FILE={ca} for the openai client"] if trust else []),
        f"{settings.home}/logs    logs",
        "",
        CURL.format(trust=trust, url=settings.url, key=KEY_OPTION if needs_key(service) else "", model=model),
    ]
    return "\n".join(lines)


def needs_key(service: Settings) -> bool:
    return bool(service.api_keys or service.api_keys_file)


@contextmanager
def errors_as_one_line() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        problems = "; ".join(f"{str(problem['loc'][0]).upper()} {problem['input']!r}: {problem['msg']}" for problem in error.errors())
        typer.echo(f"proxy: {problems}", err=True)
        raise typer.Exit(2) from None
    except (ProxyError, OSError) as error:
        typer.echo(f"proxy: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("proxy: interrupted: `make replicas` shows what is running, `make down` stops it", err=True)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    application()
