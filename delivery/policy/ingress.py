"""unbuffered-streams for Ingress: the annotations of ingress-nginx, and the Helm values of its controller."""

from collections.abc import Iterator
from typing import Any

from delivery.policy.finding import Problem
from delivery.policy.objects import at, seconds
from delivery.policy.overlay import Overlay
from delivery.policy.proxies import BODY, IDLE, PLAIN, STREAM, TWICE, keeps_too_long
from delivery.rendering import Object

ANNOTATION = "nginx.ingress.kubernetes.io"
CLASS = "nginx"
VALUES = "platform/ingress-nginx/values.yaml"
WANTED = {
    "proxy-buffering": ("off", STREAM),
    "proxy-request-buffering": ("off", "the proxy would write the body to its disk first"),
    "proxy-body-size": ("100m", BODY),
    "ssl-redirect": ("true", PLAIN),
}


def ingresses(overlay: Overlay) -> Iterator[Problem]:
    for ingress in overlay.of("Ingress"):
        yield from _ingress(overlay, ingress)
    if overlay.of("Ingress"):
        yield from _controller(overlay)


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
        because = f"another controller ignores the annotations of {ANNOTATION} and uses its own buffering and timeouts"
        yield overlay.problem(ingress, "spec.ingressClassName", name, because, CLASS)
    yield from _tls(overlay, ingress)


def _tls(overlay: Overlay, ingress: Object) -> Iterator[Problem]:
    covered = {host for entry in ingress["spec"].get("tls", []) if entry.get("secretName") for host in entry.get("hosts", [])}
    for rule in ingress["spec"].get("rules", []):
        if rule.get("host") not in covered:
            because = f"no certificate for {rule.get('host')}: {PLAIN}, or clients get the controller's default certificate"
            yield overlay.problem(
                ingress, "spec.tls", ingress["spec"].get("tls"), because, "hosts and secretName, as in components/ingress"
            )


def _annotation(name: str) -> str:
    return f"metadata.annotations[{ANNOTATION}/{name}]"


def _idle(overlay: Overlay, ingress: Object, name: str, given: Any) -> Iterator[Problem]:
    written = str(given or "")
    if not written.isdecimal() or int(written) < IDLE:
        because = f"an idle timeout under {IDLE} s ends running requests; ingress-nginx accepts only a plain number of seconds"
        yield overlay.problem(ingress, _annotation(name), given, because, f'at least "{IDLE}": proxyTimeout in environment.yaml')


def _controller(overlay: Overlay) -> Iterator[Problem]:
    controller = overlay.facts.ingress_controller.get("controller", {})
    config, ours = controller.get("config", {}), overlay.setting("KEEP_ALIVE_TIMEOUT")
    kept = seconds(config.get("upstream-keepalive-timeout")) or 60  # NGINX's default
    if kept >= ours:
        yield Problem(VALUES, "upstream-keepalive-timeout", f"{kept:g}", keeps_too_long(ours), f"less than {ours:g}")
    request, stop = overlay.setting("REQUEST_TIMEOUT"), seconds(config.get("worker-shutdown-timeout")) or 240  # ingress-nginx's default
    if stop <= request:
        because = f"a reload or rollout of the proxy cuts off streams that may last REQUEST_TIMEOUT {request:g} s"
        yield Problem(VALUES, "worker-shutdown-timeout", f"{stop:g}s", because, f"more than {request:g}s")
    grace = controller.get("terminationGracePeriodSeconds", 300)
    if grace <= stop:
        because = f"the proxy's pod is killed before its worker-shutdown-timeout of {stop:g} s ends"
        yield Problem(VALUES, "terminationGracePeriodSeconds", grace, because, f"more than {stop:g}")
