"""nginx's configuration, rendered from the template that the official nginx image also reads."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from string import Template

from proxy import ProxyError
from proxy.certificates import Certificate
from proxy.settings import ProxySettings

TEMPLATE = Path(__file__).with_name("nginx.conf.template")
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)
# After a broken connection or a 503 a replica gets no request for two seconds, then one request as a trial.
REPLICA = "server {host}:{port} max_fails=1 fail_timeout=2s;"
PROBE = "server {host}:{port} max_fails=0;"
ABSENT_REPLICA_SECONDS = 2.0


def has_nginx() -> bool:
    return _path() is not None


def find_nginx() -> str:
    """The path of the nginx binary. Raises ProxyError."""
    path = _path()
    if path is None:
        raise ProxyError(
            "nginx is not installed: `apt-get install nginx` (Debian, Ubuntu) or `brew install nginx` (macOS), or set RUNTIME=compose"
        )
    return path


def version(nginx: str) -> tuple[int, ...]:
    printed = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", printed)
    if found is None:
        raise ProxyError(f"{nginx} -v prints no version: {printed.strip()}")
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
    """Fills in the template as envsubst does with these names. nginx's own $variables stay."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).safe_substitute(values)


def install(nginx: str, configuration: Path, text: str, options: str) -> None:
    """Writes the configuration once nginx accepts it. Raises ProxyError."""
    fresh = configuration.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    check(nginx, fresh, options)
    fresh.replace(configuration)


def check(nginx: str, configuration: Path, options: str) -> None:
    """Raises ProxyError with nginx's message if nginx rejects the configuration."""
    command = [nginx, "-t", "-q", "-e", "stderr", "-c", str(configuration), "-p", str(configuration.parent), "-g", options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ProxyError(f"nginx rejects its configuration: {done.stderr.strip()}")


def _path() -> str | None:
    """Debian installs nginx in a folder that is only on root's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
