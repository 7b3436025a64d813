"""The functions that check each invariant."""

from collections.abc import Callable, Iterator

from delivery.policy import (
    configmaps,
    disruption,
    drain,
    gateway,
    gpu,
    images,
    ingress,
    metrics,
    network,
    placeholders,
    probes,
    proxies,
    references,
    replicas,
    secrets,
    security,
    settings,
    startup,
    storage,
)
from delivery.policy.finding import Finding, Problem
from delivery.policy.invariants import Invariant
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas
from delivery.rendering import Rendered

Check = Callable[[Overlay], Iterator[Problem]]

CHECKS: dict[Invariant, tuple[Check, ...]] = {
    Invariant.REPLICAS_OWNER: (replicas.replicas,),
    Invariant.SHUTDOWN_BUDGET: (drain.grace,),
    Invariant.STARTUP_BUDGET: (startup.deadlines,),
    Invariant.GPU_ROLLOUT: (gpu.gpu_rollout,),
    Invariant.LIVENESS_GRACE: (probes.probes,),
    Invariant.DISRUPTION_BUDGET: (disruption.disruption,),
    Invariant.IMAGE_DIGEST: (images.digests,),
    Invariant.UNBUFFERED_STREAMS: (ingress.ingresses, gateway.routes, proxies.body_limit),
    Invariant.KNOWN_METRICS: (metrics.emitted,),
    Invariant.ACCEPTED_SETTINGS: (settings.settings,),
    Invariant.RESTRICTED_PODS: (security.restricted, network.closed),
    Invariant.PLAIN_CONFIGMAPS: (configmaps.configmaps,),
    Invariant.STABLE_SELECTORS: (references.references,),
    Invariant.SHARED_CACHE: (storage.storage,),
    Invariant.SECRET_REFERENCES: (secrets.secrets,),
}


def findings(overlay: Overlay, schemas: Schemas) -> list[Finding]:
    """Every violation of every invariant in an overlay."""
    return [
        Finding(overlay.rendered.folder, invariant, problem) for invariant in Invariant for problem in problems(invariant, overlay, schemas)
    ]


def problems(invariant: Invariant, overlay: Overlay, schemas: Schemas) -> Iterator[Problem]:
    yield from _of_any_folder(invariant, overlay.rendered, schemas)
    for check in CHECKS.get(invariant, ()):
        yield from check(overlay)


def common_findings(rendered: Rendered, schemas: Schemas) -> list[Finding]:
    """The violations of the invariants that hold for every rendered folder, and not only for overlays."""
    return [
        Finding(rendered.folder, invariant, problem) for invariant in Invariant for problem in _of_any_folder(invariant, rendered, schemas)
    ]


def _of_any_folder(invariant: Invariant, rendered: Rendered, schemas: Schemas) -> Iterator[Problem]:
    if invariant is Invariant.KNOWN_FIELDS:
        yield from schemas.problems(rendered)
    if invariant is Invariant.REPLACED_PLACEHOLDERS:
        yield from placeholders.placeholders(rendered)
