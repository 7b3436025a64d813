"""The functions that check each invariant."""

from collections.abc import Callable, Iterator

from delivery.policy import (
    accepted_settings,
    disruption_budget,
    gateway,
    gpu_rollout,
    image_digest,
    ingress,
    known_metrics,
    liveness_grace,
    network,
    placeholders,
    plain_configmaps,
    proxies,
    replicas_owner,
    secret_references,
    security,
    shared_cache,
    shutdown_budget,
    stable_selectors,
    startup_budget,
)
from delivery.policy.finding import Finding, Problem
from delivery.policy.invariants import Invariant
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas
from delivery.rendering import Rendered

Check = Callable[[Overlay], Iterator[Problem]]

CHECKS: dict[Invariant, tuple[Check, ...]] = {
    Invariant.REPLICAS_OWNER: (replicas_owner.replicas,),
    Invariant.SHUTDOWN_BUDGET: (shutdown_budget.grace,),
    Invariant.STARTUP_BUDGET: (startup_budget.deadlines,),
    Invariant.GPU_ROLLOUT: (gpu_rollout.gpu_rollout,),
    Invariant.LIVENESS_GRACE: (liveness_grace.probes,),
    Invariant.DISRUPTION_BUDGET: (disruption_budget.disruption,),
    Invariant.IMAGE_DIGEST: (image_digest.digests,),
    Invariant.UNBUFFERED_STREAMS: (ingress.ingresses, gateway.routes, proxies.body_limit),
    Invariant.KNOWN_METRICS: (known_metrics.emitted,),
    Invariant.ACCEPTED_SETTINGS: (accepted_settings.settings,),
    Invariant.RESTRICTED_PODS: (security.restricted, network.closed),
    Invariant.PLAIN_CONFIGMAPS: (plain_configmaps.configmaps,),
    Invariant.STABLE_SELECTORS: (stable_selectors.references,),
    Invariant.SHARED_CACHE: (shared_cache.storage,),
    Invariant.SECRET_REFERENCES: (secret_references.secrets,),
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
