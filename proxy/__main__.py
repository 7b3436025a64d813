"""`python -m proxy up`, `down`, `restart`, `status` and `bench`; make has targets for them."""

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
from proxy.compose import Compose
from proxy.failure import ProxyError
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
    """Start nginx and the replicas, or take over changed settings; returns once all are ready."""
    with one_line():
        settings = ProxySettings()
        model = chosen(settings).up(typer.echo)
        typer.echo(announcement(settings, model))


@application.command()
def down() -> None:
    """Stop all of it; requests that run are answered first."""
    with one_line():
        chosen(ProxySettings()).down(typer.echo)


@application.command()
def restart() -> None:
    """Restart one replica after another, without losing a request where there are several: for a new model, new settings, new code."""
    with one_line():
        chosen(ProxySettings()).restart(typer.echo)


@application.command()
def status() -> None:
    """Tell how each part is."""
    with one_line():
        chosen(ProxySettings()).status(typer.echo)


@application.command()
def bench(
    concurrency: Annotated[int, typer.Option(min=1, help="Number of clients.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, each beginning with another of the three.")] = 5,
    requests_per_client: Annotated[int, typer.Option(min=1, help="Requests that each client sends in a round.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=2, help="Output tokens of a request.")] = 64,
    markdown: Annotated[Path, typer.Option(help=f"File for the table, between its `{SECTION}` markers.")] = Path("docs/proxy.md"),
) -> None:
    """Measure what nginx costs: a replica of its own directly, directly again, and through nginx, in turns."""
    with one_line():
        load = Load(concurrency, requests_per_client, max_tokens)
        try:
            overhead = asyncio.run(measure_overhead(load, rounds, lambda run: typer.echo(f"round {run.round}  {run.server}", err=True)))
        except BenchError as error:
            raise ProxyError(str(error)) from None
    typer.echo(overhead.to_markdown())
    text = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
    markdown.write_text(replace_section(text, SECTION, overhead.to_markdown()), encoding="utf-8")


def chosen(settings: ProxySettings) -> Processes | Compose:
    """By RUNTIME; what is up as processes is always found again."""
    processes = Processes(settings)
    without_nginx = settings.runtime == "auto" and not processes.running and not has_nginx() and shutil.which("docker")
    return Compose(settings) if settings.runtime == "compose" or without_nginx else processes


def announcement(settings: ProxySettings, model: str) -> str:
    """The URLs, and a line to try."""
    service, ca = Settings(), settings.home / "tls" / "ca.pem"
    trust = "" if settings.tls_certificate else f"--cacert {ca} "
    lines = [
        "",
        f"{settings.url}/v1    the API; {settings.url}/docs its reference",
        f"{settings.url}/healthz/pool    200 while any replica is ready",
        *([f"{ca}    what clients have to trust: SSL_CERT_FILE={ca} for the openai client"] if trust else []),
        f"{settings.home}/logs    logs",
        "",
        CURL.format(trust=trust, url=settings.url, key=KEY_OPTION if needs_key(service) else "", model=model),
    ]
    return "\n".join(lines)


def needs_key(service: Settings) -> bool:
    return bool(service.api_keys or service.api_keys_file)


@contextmanager
def one_line() -> Iterator[None]:
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
        typer.echo("proxy: interrupted; `make replicas` tells what is up, `make down` stops it", err=True)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    application()
