"""A server to measure, as given on the command line: name=URL, or name=URL#model where it does not list its models."""

from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


class BenchError(Exception):
    """One line for the person who runs the benchmark."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    host: str
    port: int
    tls: bool = False
    path: str = ""  # what precedes /v1
    model: str | None = None  # None: the first one that it lists
    api_key: str | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.path}"


def parse_target(text: str, api_key: str | None = None) -> Target:
    """Raises BenchError when `text` is not name=URL."""
    name, equals, url = text.partition("=")
    parts = urlsplit(url)
    if not (name and equals and parts.scheme in DEFAULT_PORTS and parts.hostname):
        raise BenchError(f"{text!r} does not name a server: write name=http://host:port, or name=http://host:port#model")
    path = parts.path.rstrip("/").removesuffix("/v1")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return Target(name, parts.hostname, port, parts.scheme == "https", path, parts.fragment or None, api_key)
