"""Invariant 8: what is between the client and the service lets a stream through, long and unbuffered."""

from collections.abc import Iterator
from typing import Any

from delivery.kustomize import Object
from delivery.policy.duration import seconds
from delivery.policy.finding import Problem
from delivery.policy.gateway import route
from delivery.policy.overlay import Overlay, at
from delivery.policy.streams import BODY, BODY_LIMIT, IDLE, PLAIN, STREAM, TWICE, keeps_too_long

ANNOTATION = "nginx.ingress.kubernetes.io"
CLASS = "nginx"
VALUES = "platform/ingress-nginx/values.yaml"
WANTED = {
    "proxy-buffering": ("off", STREAM),
    "proxy-request-buffering": ("off", "a body would be written to the proxy's disk first"),
    "proxy-body-size": ("100m", BODY),
    "ssl-redirect": ("true", PLAIN),
}


def streaming(overlay: Overlay) -> Iterator[Problem]:
    for ingress in overlay.of("Ingress"):
        yield from _ingress(overlay, ingress)
    if overlay.of("Ingress"):
        yield from _controller(overlay)
    for found in overlay.of("HTTPRoute"):
        if any(rule.get("backendRefs") for rule in found["spec"].get("rules", [])):
            yield from route(overlay, found)
    limit = overlay.setting("MAX_BODY_SIZE")
    if overlay.of("Ingress", "HTTPRoute") and limit > BODY_LIMIT:
        service = overlay.named("Deployment", "llm-api")
        if service:
            yield overlay.problem(service, "env MAX_BODY_SIZE", limit, f"{BODY}: it stops at 100 MB", "at most 100m bytes (100MiB)")


def _ingress(overlay: Overlay, ingress: Object) -> Iterator[Problem]:
    annotations = at(ingress, "metadata", "annotations") or {}
    for name, (value, because) in WANTED.items():
        given = annotations.get(f"{ANNOTATION}/{name}")
        if given != value:
            yield overlay.problem(ingress, _annotation(name), given, because, f'"{value}"')
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        yield from _idle(overlay, ingress, name, annotations.get(f"{ANNOTATION}/{name}"))
    retried = annotations.get(f"{ANNOTATION}/proxy-next-upstream", "")
    if "non_idempotent" in retried.split():
        yield overlay.problem(ingress, _annotation("proxy-next-upstream"), retried, TWICE, "error timeout")
    name = ingress["spec"].get("ingressClassName")
    if name != CLASS:
        because = f"another controller does not read annotations of {ANNOTATION}: buffering and timeouts would be its own"
        yield overlay.problem(ingress, "spec.ingressClassName", name, because, CLASS)
    yield from _tls(overlay, ingress)


def _tls(overlay: Overlay, ingress: Object) -> Iterator[Problem]:
    covered = {host for entry in ingress["spec"].get("tls", []) if entry.get("secretName") for host in entry.get("hosts", [])}
    for rule in ingress["spec"].get("rules", []):
        if rule.get("host") not in covered:
            because = f"no certificate for {rule.get('host')}: {PLAIN}, or clients get the controller's own"
            yield overlay.problem(
                ingress, "spec.tls", ingress["spec"].get("tls"), because, "hosts and secretName, as in components/ingress"
            )


def _annotation(name: str) -> str:
    return f"metadata.annotations[{ANNOTATION}/{name}]"


def _idle(overlay: Overlay, ingress: Object, name: str, given: Any) -> Iterator[Problem]:
    written = str(given or "")
    if not written.isdecimal() or int(written) < IDLE:
        because = f"an idle timeout under {IDLE} s ends requests that the service still works on; ingress-nginx reads a plain number alone"
        yield overlay.problem(ingress, _annotation(name), given, because, f'at least "{IDLE}": proxyTimeout in environment.yaml')


def _controller(overlay: Overlay) -> Iterator[Problem]:
    controller = overlay.facts.ingress_controller.get("controller", {})
    config, ours = controller.get("config", {}), overlay.setting("KEEP_ALIVE_TIMEOUT")
    kept = seconds(config.get("upstream-keepalive-timeout")) or 60  # NGINX's own default
    if kept >= ours:
        yield Problem(VALUES, "upstream-keepalive-timeout", f"{kept:g}", keeps_too_long(ours), f"less than {ours:g}")
    request, stop = overlay.setting("REQUEST_TIMEOUT"), seconds(config.get("worker-shutdown-timeout")) or 240  # ingress-nginx's own
    if stop <= request:
        because = f"a reload or a rollout of the proxy cuts streams that may last REQUEST_TIMEOUT {request:g} s"
        yield Problem(VALUES, "worker-shutdown-timeout", f"{stop:g}s", because, f"more than {request:g}s")
    grace = controller.get("terminationGracePeriodSeconds", 300)
    if grace <= stop:
        because = f"the proxy's pod is killed before its worker-shutdown-timeout {stop:g} s is over"
        yield Problem(VALUES, "terminationGracePeriodSeconds", grace, because, f"more than {stop:g}")
