"""The invariants of every rendered overlay. Each has a must-fail fixture in tests/manifests/must_fail, named by its number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from delivery.policy import drain, images, metrics, network, probes, progress, proxies, references, replicas, rollout, security, state
from delivery.policy.finding import Finding, Problem
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas
from delivery.policy.secrets import secrets
from delivery.policy.settings import settings


@dataclass(frozen=True)
class Invariant:
    number: int
    rule: str
    check: Callable[[Overlay], Iterator[Problem]]


def invariants(schemas: Schemas) -> list[Invariant]:
    def known(overlay: Overlay) -> Iterator[Problem]:
        return schemas.problems(overlay.rendered)

    def pods_and_network(overlay: Overlay) -> Iterator[Problem]:
        yield from security.restricted(overlay)
        yield from network.closed(overlay)

    return [
        Invariant(1, "no replicas where an autoscaler owns them; prod never under 2", replicas.replicas),
        Invariant(2, "REQUEST_TIMEOUT <= DRAIN_TIMEOUT; preStop + drain + margin <= grace period < 600", drain.grace),
        Invariant(3, "startup budget >= load; progress deadline > its sum; sync timeout >= replicas x that", progress.progress),
        Invariant(4, "a GPU rollout needs no spare GPU", rollout.gpu_rollout),
        Invariant(5, "a hung pod is restarted at once; readiness never depends on load", probes.probes),
        Invariant(6, "one pod may be disrupted at a time, and a broken one always", rollout.disruption),
        Invariant(7, "every image in prod has its digest, and its tag beside it; a model has its revision", images.digests),
        Invariant(8, "streams are unbuffered, proxies idle for an hour, the service keeps connections longest", proxies.streaming),
        Invariant(9, "every metric in an alert or a ScaledObject is emitted by the service, of this namespace", metrics.emitted),
        Invariant(10, "every environment variable, its value and every flag is accepted by the service", settings),
        Invariant(11, "restricted Pod Security; the network lets in only the proxy and Prometheus", pods_and_network),
        Invariant(12, "settings are env entries; a mounted ConfigMap has no hashed name", state.configuration),
        Invariant(13, "selectors as last promoted; labels app.kubernetes.io/*; ports by name", references.references),
        Invariant(14, "a shared model cache is ReadWriteMany; volumes and namespaces are never pruned", state.storage),
        Invariant(15, "every field is known, in Kubernetes 1.35 to 1.37 and in every CRD", known),
        Invariant(16, "secrets are references, never values", secrets),
    ]


def findings(overlay: Overlay, schemas: Schemas) -> list[Finding]:
    return [
        Finding(overlay.rendered.folder, invariant.number, invariant.rule, problem)
        for invariant in invariants(schemas)
        for problem in invariant.check(overlay)
    ]
