"""unbuffered-streams for Gateway API: the policies of NGINX Gateway Fabric that target the HTTPRoute or the Service."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import at, seconds
from delivery.policy.overlay import Overlay
from delivery.policy.proxies import BODY, IDLE, PLAIN, STREAM, keeps_too_long
from delivery.rendering import Object


def routes(overlay: Overlay) -> Iterator[Problem]:
    for found in overlay.of("HTTPRoute"):
        if any(rule.get("backendRefs") for rule in found["spec"].get("rules", [])):
            yield from _route(overlay, found)


def _route(overlay: Overlay, found: Object) -> Iterator[Problem]:
    yield from _proxy(overlay, found)
    client = _policy(overlay, "ClientSettingsPolicy", "HTTPRoute", found["metadata"]["name"])
    size = at(client, "spec", "body", "maxSize")
    if size != "100m":
        yield overlay.problem(client or found, "ClientSettingsPolicy spec.body.maxSize", size, BODY, "100m")
    for number, rule in enumerate(found["spec"].get("rules", [])):
        yield from _timeouts(overlay, found, number, rule)
        for backend in rule.get("backendRefs", []):
            yield from _keep_alive(overlay, found, backend["name"])
    yield from _listener(overlay, found)


def _proxy(overlay: Overlay, found: Object) -> Iterator[Problem]:
    proxy = _policy(overlay, "ProxySettingsPolicy", "HTTPRoute", found["metadata"]["name"])
    if proxy is None:
        yield overlay.problem(found, "metadata.name", found["metadata"]["name"], STREAM, "a ProxySettingsPolicy that targets it")
        return
    if at(proxy, "spec", "buffering", "disable") is not True:
        yield overlay.problem(proxy, "spec.buffering.disable", at(proxy, "spec", "buffering", "disable"), STREAM, "true")
    for name in ("read", "send"):
        given = at(proxy, "spec", "timeout", name)
        if given is None or (seconds(given) or 0) < IDLE:
            because = f"an idle timeout under {IDLE} s ends running requests"
            yield overlay.problem(proxy, f"spec.timeout.{name}", given, because, f"at least {IDLE}: proxyTimeout in environment.yaml")


def _timeouts(overlay: Overlay, found: Object, number: int, rule: Object) -> Iterator[Problem]:
    request, backend = (at(rule, "timeouts", name) for name in ("request", "backendRequest"))
    for name, given in (("request", request), ("backendRequest", backend or "0s")):
        if given is None or seconds(given) != 0:
            because = "it limits the whole response, streams included: only the service may end a request, never the proxy"
            yield overlay.problem(found, f"spec.rules[{number}].timeouts.{name}", given, because, "0s")


def _keep_alive(overlay: Overlay, found: Object, service: str) -> Iterator[Problem]:
    upstream, ours = _policy(overlay, "UpstreamSettingsPolicy", "Service", service), overlay.setting("KEEP_ALIVE_TIMEOUT")
    given = at(upstream, "spec", "keepAlive", "timeout")
    if given is None or (seconds(given) or 0) >= ours:
        fix = f"an UpstreamSettingsPolicy that targets Service/{service}, less than {ours:g}s"
        path = "UpstreamSettingsPolicy spec.keepAlive.timeout"
        yield overlay.problem(upstream or found, path, given, keeps_too_long(ours), fix)


def _listener(overlay: Overlay, found: Object) -> Iterator[Problem]:
    for parent in found["spec"].get("parentRefs", []):
        gateway = overlay.named("Gateway", parent["name"])
        listeners = at(gateway, "spec", "listeners") or []
        attached = [entry for entry in listeners if parent.get("sectionName") in {None, entry["name"]}]
        plain = [entry["name"] for entry in attached if entry["protocol"] != "HTTPS"]
        if plain or (gateway and not attached):
            because = f"{PLAIN}, or the Gateway has no such listener"
            yield overlay.problem(found, "spec.parentRefs.sectionName", parent.get("sectionName"), because, "a listener with HTTPS")


def _policy(overlay: Overlay, kind: str, target_kind: str, name: str) -> Object | None:
    for policy in overlay.of(kind):
        targets = policy["spec"].get("targetRefs") or [policy["spec"].get("targetRef", {})]
        if any(target.get("name") == name and target.get("kind") == target_kind for target in targets):
            return policy
    return None
