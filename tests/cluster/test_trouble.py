"""A broken pod is restarted or never becomes ready, while the running pods serve."""

import copy
import time
from collections.abc import Callable

import httpx2
import pytest
from cluster.kube import Kube, Manifest

STALL = 15  # seconds of ENGINE_STALL_TIMEOUT, instead of the default of 60
DRAIN = 300


def changed(manifests: list[Manifest], change: Manifest) -> list[Manifest]:
    """A copy in which the Deployment's container has these fields and additional env."""
    copies = copy.deepcopy(manifests)
    [deployment] = [manifest for manifest in copies if manifest["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    container |= {**change, "env": container["env"] + change.get("env", [])}
    return copies


def hangs(url: str) -> bool:
    try:
        httpx2.post(f"{url}/v1/completions", json={"model": "SmolLM2-135M-Instruct", "prompt": "x", "max_tokens": 4}, timeout=5)
    except httpx2.ReadTimeout:
        return True
    return False


def restarts(kube: Kube) -> int:
    return sum(status["restartCount"] for pod in kube.pods() for status in pod["status"].get("containerStatuses", []))


def ready_pods(kube: Kube) -> list[str]:
    pods = [pod for pod in kube.pods() if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
    return [pod["metadata"]["name"] for pod in pods]


@pytest.mark.timeout(400)
def test_a_hung_engine_is_restarted_before_its_drain_would_end(fresh: Kube, dev_manifests: list[Manifest], url: str) -> None:
    fresh.apply(changed(dev_manifests, {"env": [{"name": "ENGINE_STALL_TIMEOUT", "value": str(STALL)}]}))
    fresh.rolled_out()
    fresh.until(lambda: len(fresh.pods()) == 1, 30)
    [pod] = ready_pods(fresh)
    fresh.run("exec", pod, "--", "sh", "-c", "kill -STOP $(grep -lxsz llm_api[.]engine /proc/[0-9]*/cmdline | cut -d/ -f3)")
    stopped = time.monotonic()
    fresh.until(lambda: hangs(url), 30)  # the previous pod may still answer
    fresh.until(lambda: restarts(fresh) == 1, STALL + 3 * 10 + 30)
    print(f"restarted {time.monotonic() - stopped:.0f} s after it hung; ENGINE_STALL_TIMEOUT={STALL}, three probes of 10 s")
    assert time.monotonic() - stopped < DRAIN
    fresh.until(lambda: len(ready_pods(fresh)) == 1, 60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("change", "shows"),
    [
        ({"image": "127.0.0.1:15000/llm-api:no-such-tag"}, lambda status: "waiting" in status["state"]),
        ({"env": [{"name": "MODEL_PATH", "value": "/no/such/model"}]}, lambda status: status["restartCount"] > 0),
    ],
    ids=["an image that does not exist", "a model that cannot be loaded"],
)
def test_a_pod_that_cannot_start_never_replaces_a_running_one_and_a_revert_removes_it(
    fresh: Kube, dev_manifests: list[Manifest], url: str, change: Manifest, shows: Callable[[Manifest], bool]
) -> None:
    [before] = ready_pods(fresh)
    fresh.apply(changed(dev_manifests, change))
    fresh.until(lambda: any(shows(status) for pod in fresh.pods() for status in pod["status"].get("containerStatuses", [])), 90)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        assert ready_pods(fresh) == [before]
        assert httpx2.get(f"{url}/v1/models").status_code == 200
        time.sleep(1)
    fresh.apply(dev_manifests)
    fresh.rolled_out()
    assert ready_pods(fresh) == [before]
