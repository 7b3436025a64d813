"""What `make up` can be told, beside the service's own settings."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProxySettings(BaseSettings):
    """Read from the environment. docs/proxy.md lists them."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", case_sensitive=False, env_ignore_empty=True)

    replicas: int = Field(3, ge=1, le=64, description="Replicas of the service.")
    listen: str = Field("127.0.0.1", description="Address nginx listens on. Anything but loopback needs API keys or ALLOW_ANONYMOUS.")
    https_port: int = Field(8443, ge=1, le=65535, description="Port for HTTPS.")
    http_port: int = Field(8080, ge=1, le=65535, description="Port that redirects to HTTPS.")
    replica_port: int = Field(8100, ge=1, le=65400, description="First port of the replicas, on loopback; each takes two.")
    tls_names: str = Field("localhost,127.0.0.1", description="Names and addresses in the certificate, separated by commas.")
    tls_certificate: Path | None = Field(None, description="Certificate chain of your own, PEM. Default: by a local CA, made on the spot.")
    tls_key: Path | None = Field(None, description="Its key, PEM.")
    requests_per_second: int = Field(100, ge=1, description="Of one key, and of one address; bursts of 200 above it. More get 429.")
    concurrent_requests: int = Field(256, ge=1, description="Of one key, and of one address, at once. More get 429.")
    proxy_home: Path = Field(
        Path("~/.cache/llm-api/proxy"), validate_default=True, description="Folder for certificates, configuration, logs and sockets."
    )
    runtime: Literal["auto", "processes", "compose"] = Field(
        "auto",
        description="processes: this machine's nginx and a supervisor. compose: containers. auto: the former if nginx is installed.",
    )
    gpu: bool = Field(False, description="With compose, each replica gets a GPU of its own.")

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
        """Of each replica: the cores of this process, shared out."""
        return max(1, len(os.sched_getaffinity(0)) // self.replicas) if hasattr(os, "sched_getaffinity") else 1
