"""unbuffered-streams: the requirements for every proxy in front of the service. ingress.py and gateway.py check each kind of proxy."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE
from delivery.policy.overlay import Overlay

IDLE = 3600  # seconds
BODY_LIMIT = 100 * 1024 * 1024  # bytes
STREAM = "a buffered stream reaches the client all at once, at its end"
PLAIN = "API keys would be sent unencrypted"
BODY = "the service rejects a body that is too large in the API's own format, which a proxy would not"
TWICE = "a request that has begun to generate would be sent again"


def body_limit(overlay: Overlay) -> Iterator[Problem]:
    limit, service = overlay.setting("MAX_BODY_SIZE"), overlay.named("Deployment", SERVICE)
    if service and overlay.of("Ingress", "HTTPRoute") and limit > BODY_LIMIT:
        yield overlay.problem(service, "env MAX_BODY_SIZE", limit, f"{BODY}; its limit is 100 MB", "at most 100m bytes (100MiB)")


def keeps_too_long(ours: float) -> str:
    return f"the service closes an idle connection after KEEP_ALIVE_TIMEOUT {ours:g} s: a proxy that keeps it longer answers 502"
