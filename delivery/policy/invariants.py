"""The invariants of every rendered overlay, by name."""

from enum import Enum


class Invariant(Enum):
    """`value` is the name that findings, comments and tests cite; `rule` is the requirement in one sentence.

    Each has fixtures that break it, in tests/manifests/must_fail/<name>.
    """

    rule: str

    REPLICAS_OWNER = "replicas-owner", "no manifest sets the number of replicas if an autoscaler does; production has at least 2"
    SHUTDOWN_BUDGET = "shutdown-budget", "REQUEST_TIMEOUT <= DRAIN_TIMEOUT; preStop + drain + margin <= grace period < 600 s"
    STARTUP_BUDGET = (
        "startup-budget",
        "startupProbe >= ENGINE_LOAD_TIMEOUT; progressDeadlineSeconds > the sum of its parts; sync timeout >= replicas x that",
    )
    GPU_ROLLOUT = "gpu-rollout", "a rollout on GPUs needs no spare GPU"
    LIVENESS_GRACE = "liveness-grace", "a hung pod is restarted quickly; readiness never depends on load"
    DISRUPTION_BUDGET = "disruption-budget", "one pod at a time may be evicted, and an unhealthy one always"
    IMAGE_DIGEST = "image-digest", "every image in production has a tag and a digest; every model has a fixed revision"
    UNBUFFERED_STREAMS = (
        "unbuffered-streams",
        "proxies do not buffer, allow one hour of idle time and close idle connections before the service",
    )
    KNOWN_METRICS = "known-metrics", "every metric in an alert or a ScaledObject is emitted by the service, in this namespace"
    ACCEPTED_SETTINGS = "accepted-settings", "the service accepts every environment variable, its value and every flag"
    RESTRICTED_PODS = "restricted-pods", "restricted Pod Security; the network admits only the proxy and Prometheus"
    PLAIN_CONFIGMAPS = "plain-configmaps", "settings are env entries; a mounted ConfigMap has a stable name, without a hash"
    STABLE_SELECTORS = "stable-selectors", "selectors never change and use labels app.kubernetes.io/*; ports are named, not numbered"
    SHARED_CACHE = "shared-cache", "a shared model cache is ReadWriteMany; volumes and namespaces are never pruned"
    KNOWN_FIELDS = "known-fields", "every field is in the schemas of Kubernetes 1.35 to 1.37 and of every CRD"
    SECRET_REFERENCES = "secret-references", "secrets are references, never values"
    REPLACED_PLACEHOLDERS = "replaced-placeholders", "the environment sets a value for every placeholder of its components"

    def __new__(cls, name: str, rule: str) -> "Invariant":
        invariant = object.__new__(cls)
        invariant._value_ = name
        invariant.rule = rule
        return invariant
