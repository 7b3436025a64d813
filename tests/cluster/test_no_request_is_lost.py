"""Rollouts and evictions under load lose no request; without the drain they do."""

import pytest
from cluster.kube import Kube
from counted_load import REQUESTS, STREAMS, Load

TWO_REPLICAS = {"spec": {"replicas": 2}}
NO_DRAIN = {
    "spec": {
        "template": {"spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "llm-api", "lifecycle": {"preStop": None}}]}}
    }
}


@pytest.fixture
def two_replicas(fresh: Kube) -> Kube:
    fresh.patch("deployment/llm-api", TWO_REPLICAS)
    fresh.rolled_out()
    return fresh


def restart(kube: Kube) -> None:
    kube.run("rollout", "restart", "deployment/llm-api")
    kube.rolled_out()


@pytest.mark.timeout(600)
async def test_a_rolling_update(two_replicas: Kube, url: str) -> None:
    outcome = await Load(url).around(lambda: restart(two_replicas))
    assert outcome.lost == {}
    assert outcome.answered >= REQUESTS
    assert outcome.streams >= STREAMS


@pytest.mark.timeout(600)
async def test_a_rolling_update_without_the_drain_loses_requests(two_replicas: Kube, url: str) -> None:
    two_replicas.patch("deployment/llm-api", NO_DRAIN)
    two_replicas.rolled_out()
    outcome = await Load(url).around(lambda: restart(two_replicas))
    assert outcome.lost.total() > 0


@pytest.mark.timeout(600)
async def test_evicting_one_replica_after_another(two_replicas: Kube, url: str) -> None:
    def evict_all() -> None:
        first, second = (pod["metadata"]["name"] for pod in two_replicas.pods())
        assert evict(two_replicas, first)
        assert not evict(two_replicas, second), "the disruption budget allows one eviction at a time"
        two_replicas.rolled_out()
        two_replicas.until(lambda: evict(two_replicas, second), 120)
        two_replicas.rolled_out()

    outcome = await Load(url).around(evict_all)
    assert outcome.lost == {}
    assert outcome.streams >= STREAMS


def evict(kube: Kube, pod: str) -> bool:
    """Evicts the pod by the Eviction API. Returns False if the PodDisruptionBudget does not allow it now."""
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{pod}/eviction"
    eviction = f'{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}", "namespace": "{kube.namespace}"}}}}'
    done = kube.run("create", "--raw", path, "-f", "-", text=eviction, check=False)
    assert done.returncode == 0 or "disruption budget" in done.stderr, done.stderr
    return done.returncode == 0
