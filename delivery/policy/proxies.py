"""Invariant 8: what is between the client and the service lets a stream through, long and unbuffered."""

from collections.abc import Iterator
from typing import Any

from delivery.kustomize import Object
from delivery.policy.duration import seconds
from delivery.policy.finding import Problem
from delivery.policy.overlay import Overlay, at

IDLE = 3600
ANNOTATION = "nginx.ingress.kubernetes.io"
STREAM = "a buffered stream reaches the client all at once, at its end"
PLAIN = "API keys would travel in the clear"
BODY = "the service answers a body that is too large as the API does, the proxy would not"


def streaming(overlay: Overlay) -> Iterator[Problem]:
    for ingress in overlay.of("Ingress"):
        yield from _ingress(overlay, ingress)
    for route in overlay.of("HTTPRoute"):
        if any(rule.get("backendRefs") for rule in route["spec"]["rules"]):
            yield from _route(overlay, route)
    yield from _keep_alive(overlay)


def _ingress(overlay: Overlay, ingress: Object) -> Iterator[Problem]:
    annotations = at(ingress, "metadata", "annotations") or {}
    wanted = {"proxy-buffering": ("off", STREAM), "proxy-body-size": ("100m", BODY), "ssl-redirect": ("true", PLAIN)}
    for name, (value, because) in wanted.items():
        given = annotations.get(f"{ANNOTATION}/{name}")
        if given != value:
            yield overlay.problem(ingress, f"metadata.annotations[{ANNOTATION}/{name}]", given, because, f'"{value}"')
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        yield from _idle(overlay, ingress, f"metadata.annotations[{ANNOTATION}/{name}]", annotations.get(f"{ANNOTATION}/{name}"))


def _idle(overlay: Overlay, found: Object, path: str, given: Any) -> Iterator[Problem]:
    if given is None or (seconds(given) or 0) < IDLE:
        because = f"an idle timeout under {IDLE} s ends requests that the service still works on"
        yield overlay.problem(found, path, given, because, f"at least {IDLE}: proxyTimeout in environment.yaml")


def _route(overlay: Overlay, route: Object) -> Iterator[Problem]:
    proxy = _policy(overlay, "ProxySettingsPolicy", route)
    if proxy is None:
        yield overlay.problem(route, "metadata.name", route["metadata"]["name"], STREAM, "a ProxySettingsPolicy that targets it")
    else:
        if at(proxy, "spec", "buffering", "disable") is not True:
            yield overlay.problem(proxy, "spec.buffering.disable", at(proxy, "spec", "buffering", "disable"), STREAM, "true")
        for name in ("read", "send"):
            yield from _idle(overlay, proxy, f"spec.timeout.{name}", at(proxy, "spec", "timeout", name))
    client = _policy(overlay, "ClientSettingsPolicy", route)
    size = at(client, "spec", "body", "maxSize")
    if size != "100m":
        yield overlay.problem(client or route, "ClientSettingsPolicy spec.body.maxSize", size, BODY, "100m")


def _policy(overlay: Overlay, kind: str, route: Object) -> Object | None:
    for policy in overlay.of(kind):
        targets = policy["spec"].get("targetRefs") or [policy["spec"].get("targetRef", {})]
        if any(target.get("name") == route["metadata"]["name"] and target.get("kind") == "HTTPRoute" for target in targets):
            return policy
    return None


def _keep_alive(overlay: Overlay) -> Iterator[Problem]:
    ours = float(overlay.setting("KEEP_ALIVE_TIMEOUT"))
    because = f"the service closes an idle connection after KEEP_ALIVE_TIMEOUT {ours:g} s: a proxy that keeps it longer answers 502"
    fix = f"less than {ours:g}"
    for policy in overlay.of("UpstreamSettingsPolicy"):
        given = at(policy, "spec", "keepAlive", "timeout")
        if given is None or (seconds(given) or 0) >= ours:
            yield overlay.problem(policy, "spec.keepAlive.timeout", given, because, fix)
    for file, kept in overlay.facts.proxy_keep_alive.items():
        if kept >= ours:
            yield Problem(file, "upstream-keepalive-timeout", f"{kept:g}", because, fix)
