"""pins.yaml lists what the tree uses; `make pins` finds what is not published, or no longer what it was."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from copied_tree import ROOT, Edit, copy_tree, editor

from delivery.pins import out_of_step, read

DIGEST = f"sha256:{'a' * 64}"
INDEX = {"entries": {"cert-manager": [{"version": "v1.21.2"}], "ingress-nginx": [{"version": "4.15.2"}, {"version": "4.15.1"}]}}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return copy_tree(tmp_path, "base", "components", "overlays", "platform", "clusters", "apps/llm-api/Dockerfile", "pins.yaml")


@pytest.fixture
def edit(clone: Path) -> Edit:
    return editor(clone)


class _Published(BaseHTTPRequestHandler):
    """A chart repository, and a registry that wants the token that it gives to anybody."""

    def do_GET(self) -> None:
        token = json.dumps({"token": "for-anybody"}) if "service=here&scope=pull" in self.path else ""
        self._answer(200, {}, yaml.safe_dump(INDEX) if self.path == "/index.yaml" else token)

    def do_HEAD(self) -> None:
        if self.headers["authorization"] != "Bearer for-anybody":
            realm = f"http://{self.headers['host']}/token"
            self._answer(401, {"www-authenticate": f'Bearer realm="{realm}",service="here",scope="pull"'})
        elif self.path in {"/v2/charts/nginx-gateway-fabric/manifests/2.6.7", "/v2/vllm/manifests/v0.33.0", "/v2/cuda/manifests/13"}:
            self._answer(200, {"docker-content-digest": DIGEST})
        else:
            self._answer(404, {})

    def _answer(self, status: int, headers: dict[str, str], body: str = "") -> None:
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def published(clone: Path, edit: Edit) -> Iterator[Path]:
    """The clone, whose charts and images are all on a server of our own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Published)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    host = f"127.0.0.1:{server.server_address[1]}"
    for chart, url in (("cert-manager", "https://charts.jetstack.io"), ("ingress-nginx", "https://kubernetes.github.io/ingress-nginx")):
        edit(f"platform/{chart}/helmrepository.yaml", url, f"http://{host}")
    edit("platform/nginx-gateway-fabric/helmrepository.yaml", "oci://ghcr.io/nginx/charts", f"oci://{host}/charts")
    for file in ("pins.yaml", "components/vllm/deployment.yaml"):
        edit(file, "vllm/vllm-openai", f"{host}/vllm")
    edit("pins.yaml", "name: nvidia/cuda\n    tag: 13.2.0-base-ubuntu24.04", f"name: {host}/cuda\n    tag: '13'")
    edit("apps/llm-api/Dockerfile", "nvidia/cuda:13.2.0-base-ubuntu24.04", f"{host}/cuda:13")
    yield clone
    server.shutdown()
    thread.join()
    server.server_close()


def look_up(root: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "delivery.pins", "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_what_the_tree_uses_is_listed_and_what_is_listed_is_used() -> None:
    assert list(out_of_step(ROOT, read(ROOT))) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("components/vllm/deployment.yaml", ":v0.33.0", ":v0.34.0", "components/vllm/deployment.yaml: vllm/vllm-openai:v0.34.0 is not in"),
        ("platform/cert-manager/helmrelease.yaml", "v1.21.2", "v1.22.0", "helmrelease.yaml has no cert-manager v1.21.2"),
        ("clusters/prod/argocd/application.yaml", "4.15.1", "4.16.0", "application.yaml: ingress-nginx 4.16.0 is not in pins.yaml"),
        ("apps/llm-api/Dockerfile", "cuda:13.2.0-base", "cuda:13.3.0-base", "Dockerfile: nvidia/cuda:13.3.0-base-ubuntu24.04 is not in"),
    ],
)
def test_a_version_that_is_changed_in_one_place_is_told(file: str, old: str, new: str, told: str, clone: Path, edit: Edit) -> None:
    edit(file, old, new)
    assert any(told in line for line in out_of_step(clone, read(clone)))


def test_what_is_published_is_found_with_its_digest(published: Path) -> None:
    done = look_up(published)
    assert done.returncode == 0, done.stdout
    assert "cert-manager v1.21.2: ok" in done.stdout
    assert "nginx-gateway-fabric 2.6.7: ok" in done.stdout
    assert f":v0.33.0: there, as {DIGEST}; pins.yaml has no digest" in done.stdout
    assert "not-promoted: a placeholder" in done.stdout


def test_all_that_is_not_there_or_was_moved_is_told_at_once(published: Path, edit: Edit) -> None:
    edit("pins.yaml", "    tag: v0.33.0", f"    tag: v0.33.0\n    digest: sha256:{'b' * 64}")
    edit("pins.yaml", "tag: '13'", "tag: '14'")
    edit("apps/llm-api/Dockerfile", "/cuda:13", "/cuda:14")
    for file in ("pins.yaml", "platform/ingress-nginx/helmrelease.yaml", "clusters/prod/argocd/application.yaml"):
        edit(file, "4.15.1", "4.15.9")
    shutil.rmtree(published / "overlays")
    done = look_up(published)
    assert done.returncode == 1
    for told in ("a tag was moved", "/v2/cuda/manifests/14 answers 404", "has no ingress-nginx 4.15.9; its newest are 4.15.2, 4.15.1"):
        assert told in done.stdout
    assert done.stderr == "3 to put right\n"
