"""Checks the settings and binds the sockets, before anything is loaded."""

import errno
import ipaddress
import os
import socket

from llm_api.refusal import EX_CONFIG, Refusal
from llm_api.settings import Settings

BACKLOG = 2048


class StartError(Refusal):
    """The server cannot start. The message names the setting and the fix."""

    exit_code = EX_CONFIG


def check_startable(settings: Settings) -> None:
    """Raises StartError."""
    has_keys = settings.api_keys or settings.api_keys_file or settings.allow_anonymous
    if not has_keys and not _is_loopback(settings.host):
        raise StartError(
            f"HOST {settings.host} accepts connections from other machines, but there are no API keys: set API_KEYS_FILE"
            " (`llm-api keys new NAME` creates an entry), or set ALLOW_ANONYMOUS=true to serve requests without keys.",
        )
    if settings.drain_timeout < settings.request_timeout:
        raise StartError(
            f"DRAIN_TIMEOUT ({settings.drain_timeout:g}) is less than REQUEST_TIMEOUT ({settings.request_timeout:g}):"
            " a shutdown would cut requests short. Raise DRAIN_TIMEOUT or lower REQUEST_TIMEOUT.",
        )


def bind(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """Returns a listening socket. `setting` names the setting of the port, for errors. Raises StartError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::")
    except OSError as error:
        fix = f"stop the process that uses it or set {setting}" if error.errno == errno.EADDRINUSE else f"check HOST and {setting}"
        raise StartError(f"Cannot listen on {host} port {port}: {error.strerror or error}; {fix}.", os.EX_OSERR) from None


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
