"""What `make up` can be told, beside the service's own settings."""

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PLAIN_PATH = re.compile(r"[\w./~-]+")  # it gets into the configuration of nginx and of supervisor
LONGEST_HOME = 80  # characters: a socket lies in it, whose address has room for 107
HOST_NAME = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*|[0-9a-fA-F:]+")


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

    @field_validator("http_port")
    @classmethod
    def _another_port(cls, port: int, known: ValidationInfo) -> int:
        if port == known.data.get("https_port"):
            raise ValueError("HTTPS_PORT is the same; each needs its own")
        return port

    @field_validator("tls_names")
    @classmethod
    def _host_names(cls, names: str) -> str:
        wrong = [name for name in names.split(",") if not HOST_NAME.fullmatch(name.strip())]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no host name or address; write them like localhost,127.0.0.1,*.example.com")
        return names

    @field_validator("proxy_home")
    @classmethod
    def _plain_path(cls, path: Path) -> Path:
        whole = str(path.expanduser().absolute())
        if not PLAIN_PATH.fullmatch(whole) or len(whole) > LONGEST_HOME:
            raise ValueError(f"it may have letters, digits and ._-/ and at most {LONGEST_HOME} characters; choose another folder")
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
        """Of each replica: the cores of this process, shared out."""
        return max(1, len(os.sched_getaffinity(0)) // self.replicas) if hasattr(os, "sched_getaffinity") else 1
