"""The invariants of every rendered overlay. Each has a must-fail fixture in tests/manifests/must_fail, named by its number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from delivery.policy import images, metrics, proxies, rollout, security, state
from delivery.policy.finding import Finding, Problem
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas


@dataclass(frozen=True)
class Invariant:
    number: int
    rule: str
    check: Callable[[Overlay], Iterator[Problem]]


def invariants(schemas: Schemas) -> list[Invariant]:
    def known(overlay: Overlay) -> Iterator[Problem]:
        return schemas.problems(overlay.rendered)

    return [
        Invariant(1, "no replicas where an autoscaler owns them; prod never under 2", rollout.replicas),
        Invariant(2, "REQUEST_TIMEOUT <= DRAIN_TIMEOUT; preStop + drain + margin <= grace period < 600", rollout.grace),
        Invariant(3, "startup budget >= load; progress deadline > its sum; sync timeout >= replicas x that", rollout.progress),
        Invariant(4, "a GPU rollout needs no spare GPU", rollout.gpu_rollout),
        Invariant(5, "a hung pod is restarted at once; readiness never depends on load", rollout.probes),
        Invariant(6, "one pod may be disrupted at a time, and a broken one always", rollout.disruption),
        Invariant(7, "every image in prod has its digest, and its tag beside it", images.digests),
        Invariant(8, "streams are unbuffered, proxies idle for an hour, the service keeps connections longest", proxies.streaming),
        Invariant(9, "every metric in an alert or a ScaledObject is emitted by the service", metrics.emitted),
        Invariant(10, "every environment variable and flag is accepted by the service", images.settings),
        Invariant(11, "restricted Pod Security; the network lets in only the proxy and Prometheus", security.restricted),
        Invariant(12, "settings are env entries; a mounted ConfigMap has no hashed name", state.configuration),
        Invariant(13, "selectors as last promoted; labels app.kubernetes.io/*; ports by name", state.selectors),
        Invariant(14, "a shared model cache is ReadWriteMany; volumes and namespaces are never pruned", state.storage),
        Invariant(15, "every field is known, in Kubernetes 1.35 to 1.37 and in every CRD", known),
        Invariant(16, "secrets are references, never values", images.secrets),
    ]


def findings(overlay: Overlay, schemas: Schemas) -> list[Finding]:
    return [
        Finding(overlay.rendered.folder, invariant.number, invariant.rule, problem)
        for invariant in invariants(schemas)
        for problem in invariant.check(overlay)
    ]
