"""nginx in front of replicas of the service on one machine: `make up`, `make down`. docs/proxy.md lists the guarantees."""


class ProxyError(Exception):
    """Stops a command. The message is one line that names the problem and the fix."""
