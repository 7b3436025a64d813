"""components/model-cache on a cluster: the model is downloaded once, verified, and served without the hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import model_cache
from cluster.kube import Kube, Manifest
from cluster.model_cache import NAMESPACE

WEIGHTS = "model.safetensors"
pytestmark = pytest.mark.timeout(600)


class Cache:
    """The overlay with its Job, the hub, and a privileged pod on the node that holds the volume."""

    def __init__(self, image: str, kustomize: Path) -> None:
        self.kube, self._host = Kube(NAMESPACE), Kube(f"{NAMESPACE}-host")
        self._overlay, self._job = model_cache.overlay(kustomize, image)
        self._image = image

    def prepare(self) -> None:
        node = next(item["metadata"]["name"] for item in self.kube.get("nodes")["items"] if "kwok.x-k8s.io/node" not in str(item))
        self._host.make_namespace()
        self._host.apply(model_cache.keeper(self._image, node, self._host.namespace))
        self._host.run("wait", "pod/keeper", "--for=condition=Ready", "--timeout=120s")
        self._empty()  # an interrupted run may have left files
        self.kube.make_namespace()
        self.kube.apply([model_cache.volume(node), *model_cache.hub(self._image)])
        self.kube.rolled_out("hub", seconds=120)

    def on_the_node(self, script: str) -> str:
        return self._host.run("exec", "keeper", "--", "sh", "-ec", f"cd /models/models/*/ && {script}").stdout

    def apply_overlay(self) -> None:
        self.kube.apply(self._overlay)

    def pull(self) -> Manifest:
        """Runs the Job again, as after a change of the image. Returns the completed Job."""
        self.kube.run("delete", "job", "llm-api-model", "--ignore-not-found", "--wait")
        self.kube.apply([self._job])
        self.kube.run("wait", "job/llm-api-model", "--for=condition=Complete", "--timeout=300s")
        job: Manifest = self.kube.get("job", "llm-api-model")
        return job

    def requests(self) -> list[str]:
        """The log lines of the hub's requests, also from before a restart of its container."""
        [pod] = self.kube.pods("hub")
        restarted = any(status["restartCount"] for status in pod["status"]["containerStatuses"])
        earlier = self.kube.run("logs", "deployment/hub", "--previous").stdout if restarted else ""
        return (earlier + self.kube.run("logs", "deployment/hub").stdout).splitlines()

    def downloads(self) -> int:
        return sum(line.startswith("GET") and line.endswith(WEIGHTS) for line in self.requests())

    def _empty(self) -> None:
        self._host.run("exec", "keeper", "--", "sh", "-c", "rm -rf /models/*", check=False)

    def clean_up(self) -> None:
        self._empty()
        for kube in (self.kube, self._host):
            kube.run("delete", "namespace", kube.namespace, "--wait=false", check=False)
        self.kube.run("delete", "persistentvolume", "llm-api-cache", "--wait=false", check=False)


@pytest.fixture(scope="module")
def cache(image: str, kustomize: Path) -> Iterator[Cache]:
    cache = Cache(image, kustomize)
    try:
        cache.prepare()
        yield cache
    finally:
        cache.clean_up()


def test_two_pods_fetch_once_and_the_service_waits_for_them(cache: Cache) -> None:
    cache.apply_overlay()
    assert cache.pull()["status"]["succeeded"] == 2
    assert cache.downloads() == 1, cache.requests()
    cache.kube.rolled_out(seconds=180)
    path = f"/api/v1/namespaces/{NAMESPACE}/services/llm-api:http/proxy/v1/models"
    [model] = json.loads(cache.kube.run("get", "--raw", path).stdout)["data"]
    assert model["id"] == "of-the-team"


def test_a_damaged_file_is_detected_and_downloaded_again_once(cache: Cache) -> None:
    sound, before = cache.on_the_node(f"sha256sum {WEIGHTS}"), cache.downloads()
    cache.on_the_node(f"printf damaged | dd of={WEIGHTS} bs=1 seek=100000 conv=notrunc status=none")
    assert cache.on_the_node(f"sha256sum {WEIGHTS}") != sound
    cache.pull()
    assert cache.on_the_node(f"sha256sum {WEIGHTS}") == sound
    assert cache.downloads() == before + 1, cache.requests()


def test_a_second_start_downloads_nothing_and_pods_need_no_hub(cache: Cache) -> None:
    before = cache.requests()
    cache.pull()
    assert cache.requests() == before
    cache.kube.run("scale", "deployment/hub", "--replicas=0")
    cache.kube.run("rollout", "restart", "deployment/llm-api")
    cache.kube.rolled_out(seconds=180)
    cache.kube.run("scale", "deployment/hub", "--replicas=1")
    cache.kube.rolled_out("hub", seconds=120)
