"""Settings of `make up`, in addition to the service's own settings."""

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PLAIN_PATH = re.compile(r"[\w./~-]+")  # the path is written into the configuration of nginx and of supervisor, without quotes
LONGEST_HOME = 80  # characters: PROXY_HOME holds a Unix socket, and a socket's path has at most 107
HOST_NAME = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*|[0-9a-fA-F:]+")


class ProxySettings(BaseSettings):
    """Read from the environment. docs/proxy.md lists them."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", case_sensitive=False, env_ignore_empty=True)

    replicas: int = Field(3, ge=1, le=64, description="Replicas of the service.")
    listen: str = Field("127.0.0.1", description="Address that nginx listens on. Any but loopback needs API keys or ALLOW_ANONYMOUS.")
    https_port: int = Field(8443, ge=1, le=65535, description="Port for HTTPS.")
    http_port: int = Field(8080, ge=1, le=65535, description="Port for HTTP, which only redirects to HTTPS.")
    replica_port: int = Field(8100, ge=1, le=65400, description="First port of the replicas, on loopback. Each replica uses two.")
    tls_names: str = Field("localhost,127.0.0.1", description="Names and addresses in the certificate, separated by commas.")
    tls_certificate: Path | None = Field(None, description="Your own certificate chain, PEM. Default: a certificate signed by a local CA.")
    tls_key: Path | None = Field(None, description="The key of TLS_CERTIFICATE, PEM.")
    requests_per_second: int = Field(100, ge=1, description="Limit per API key and per address, with bursts of 200. More get 429.")
    concurrent_requests: int = Field(256, ge=1, description="Running requests per API key and per address. More get 429.")
    proxy_home: Path = Field(
        Path("~/.cache/llm-api/proxy"), validate_default=True, description="Folder for certificates, configuration, logs and sockets."
    )
    runtime: Literal["auto", "processes", "compose"] = Field(
        "auto",
        description="processes: this machine's nginx and supervisord. compose: containers. auto: processes if nginx is installed.",
    )
    gpu: bool = Field(False, description="With compose: one GPU per replica.")

    @field_validator("http_port")
    @classmethod
    def _another_port(cls, port: int, known: ValidationInfo) -> int:
        if port == known.data.get("https_port"):
            raise ValueError("HTTPS_PORT has the same value: set another port")
        return port

    @field_validator("tls_names")
    @classmethod
    def _host_names(cls, names: str) -> str:
        wrong = [name for name in names.split(",") if not HOST_NAME.fullmatch(name.strip())]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a host name or address: write them like localhost,127.0.0.1,*.example.com")
        return names

    @field_validator("proxy_home")
    @classmethod
    def _plain_path(cls, path: Path) -> Path:
        whole = str(path.expanduser().absolute())
        if not PLAIN_PATH.fullmatch(whole) or len(whole) > LONGEST_HOME:
            raise ValueError(f"the path may contain letters, digits and ._-/ and at most {LONGEST_HOME} characters: choose another folder")
        return path

    @property
    def home(self) -> Path:
        return self.proxy_home.expanduser().absolute()

    @property
    def port_pairs(self) -> list[tuple[int, int]]:
        """PORT and MANAGEMENT_PORT of each replica."""
        return [(self.replica_port + 2 * number, self.replica_port + 2 * number + 1) for number in range(self.replicas)]

    @property
    def url(self) -> str:
        host = self.tls_names.split(",")[0].strip() if self.listen in {"0.0.0.0", "127.0.0.1"} else self.listen  # noqa: S104
        return f"https://{host}:{self.https_port}"

    @property
    def threads(self) -> int:
        """Threads of each replica: an equal share of the cores that this process may use."""
        return max(1, len(os.sched_getaffinity(0)) // self.replicas) if hasattr(os, "sched_getaffinity") else 1
