"""nginx's configuration, from the one template that the official image reads too."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from string import Template

from proxy.certificates import Certificate
from proxy.failure import ProxyError
from proxy.settings import ProxySettings

TEMPLATE = Path(__file__).with_name("nginx.conf.template")
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)
# A replica that broke off or says 503 gets no request for two seconds, then one to try it.
REPLICA = "server {host}:{port} max_fails=1 fail_timeout=2s;"
PROBE = "server {host}:{port} max_fails=0;"
ABSENT_REPLICA_SECONDS = 2.0


def has_nginx() -> bool:
    return _path() is not None


def find_nginx() -> str:
    """Its path. Raises ProxyError."""
    path = _path()
    if path is None:
        raise ProxyError(
            "nginx is not installed: `apt-get install nginx` (Debian, Ubuntu) or `brew install nginx` (macOS), or RUNTIME=compose"
        )
    return path


def version(nginx: str) -> tuple[int, ...]:
    told = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", told)
    if found is None:
        raise ProxyError(f"{nginx} -v does not tell its version: {told.strip()}")
    return tuple(map(int, found.groups()))


def variables(settings: ProxySettings, certificate: Certificate, nginx_version: tuple[int, ...]) -> dict[str, str]:
    api, management = zip(*settings.port_pairs, strict=True)
    return {
        "LISTEN": f"[{settings.listen}]" if ":" in settings.listen else settings.listen,
        "HTTP_PORT": str(settings.http_port),
        "HTTPS_PORT": str(settings.https_port),
        "HTTP2": "; http2 on" if nginx_version >= HTTP2_DIRECTIVE_SINCE else " http2",
        "TLS_CERTIFICATE": str(certificate.chain),
        "TLS_KEY": str(certificate.key),
        "REPLICAS": " ".join(REPLICA.format(host="127.0.0.1", port=port) for port in api),
        "PROBES": " ".join(PROBE.format(host="127.0.0.1", port=port) for port in management),
        "REQUESTS_PER_SECOND": str(settings.requests_per_second),
        "CONCURRENT_REQUESTS": str(settings.concurrent_requests),
        "STATE": str(settings.home / "nginx"),
    }


def render(values: Mapping[str, str]) -> str:
    """As envsubst would with these names: nginx's own $variables stay."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).safe_substitute(values)


def install(nginx: str, configuration: Path, text: str, options: str) -> None:
    """Puts it in its place once nginx takes it. Raises ProxyError."""
    fresh = configuration.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    check(nginx, fresh, options)
    fresh.replace(configuration)


def check(nginx: str, configuration: Path, options: str) -> None:
    """Raises ProxyError with what nginx says against it."""
    command = [nginx, "-t", "-q", "-e", "stderr", "-c", str(configuration), "-p", str(configuration.parent), "-g", options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ProxyError(f"nginx refuses its configuration: {done.stderr.strip()}")


def _path() -> str | None:
    """Debian keeps it where only root's PATH leads."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
