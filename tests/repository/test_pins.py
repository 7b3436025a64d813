"""pins.yaml lists what the tree uses. `make pins` finds pins that are not published, or that were moved."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from bump.repositories import git
from copied_tree import ROOT, Edit, copy_tree, editor

from delivery.checks.pins import out_of_step, read

DIGEST = f"sha256:{'a' * 64}"
CHARTS = {
    "cert-manager": "https://charts.jetstack.io",
    "ingress-nginx": "https://kubernetes.github.io/ingress-nginx",
    "kyverno": "https://kyverno.github.io/kyverno",
}
OURS = ("/v2/cuda/manifests/13", "/v2/nginx/manifests/1.30.4", "/v2/registry/manifests/3.1.1")
INDEX = {"entries": {"cert-manager": [{"version": "v1.21.2"}], "ingress-nginx": [{"version": "4.15.2"}, {"version": "4.15.1"}]}}
INDEX["entries"]["kyverno"] = [{"version": "3.9.1"}]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folders = (
        "base",
        "components",
        "overlays",
        "platform",
        "clusters",
        "proxy",
        ".github",
        "apps/llm-api/Dockerfile",
        "tools/kind-cluster",
    )
    return copy_tree(tmp_path, *folders, "pins.yaml")


@pytest.fixture
def edit(clone: Path) -> Edit:
    return editor(clone)


class _Published(BaseHTTPRequestHandler):
    """A chart repository, and a registry that requires an anonymous token."""

    def do_GET(self) -> None:
        token = json.dumps({"token": "anonymous"}) if "service=here&scope=pull" in self.path else ""
        self._answer(200, {}, yaml.safe_dump(INDEX) if self.path == "/index.yaml" else token)

    def do_HEAD(self) -> None:
        if self.headers["authorization"] != "Bearer anonymous":
            realm = f"http://{self.headers['host']}/token"
            self._answer(401, {"www-authenticate": f'Bearer realm="{realm}",service="here",scope="pull"'})
        elif self.path in {"/v2/charts/nginx-gateway-fabric/manifests/2.6.7", "/v2/vllm/manifests/v0.33.0", *OURS}:
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
    """The clone, with all charts and images on a local server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Published)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    host = f"127.0.0.1:{server.server_address[1]}"
    for chart, url in CHARTS.items():
        edit(f"platform/{chart}/helmrepository.yaml", url, f"http://{host}")
    edit("platform/nginx-gateway-fabric/helmrepository.yaml", "oci://ghcr.io/nginx/charts", f"oci://{host}/charts")
    for file in ("pins.yaml", "components/vllm/deployment.yaml"):
        edit(file, "vllm/vllm-openai", f"{host}/vllm")
    edit("pins.yaml", "name: nginx\n", f"name: {host}/nginx\n")
    edit("proxy/compose.yaml", "image: nginx:", f"image: {host}/nginx:")
    edit("pins.yaml", "name: nvidia/cuda\n    tag: 13.2.0-base-ubuntu24.04", f"name: {host}/cuda\n    tag: '13'")
    edit("apps/llm-api/Dockerfile", "nvidia/cuda:13.2.0-base-ubuntu24.04", f"{host}/cuda:13")
    edit("pins.yaml", "name: registry", f"name: {host}/registry")
    edit("tools/kind-cluster", "=registry:", f"={host}/registry:")
    publish_actions(clone)
    yield clone
    server.shutdown()
    thread.join()
    server.server_close()


def publish_actions(clone: Path) -> None:
    """A repository for each action, with its version as a plain or annotated tag. The workflows pin the commits of these tags."""
    for at, pin in enumerate(yaml.safe_load((clone / "pins.yaml").read_text(encoding="utf-8"))["actions"]):
        repository = clone / "github" / pin["name"]
        subprocess.run(["git", "init", "-q", repository], check=True)
        git(repository, "commit", "-q", "--allow-empty", "-m", pin["name"])
        git(repository, "tag", pin["version"], *(["-a", "-m", "annotated"] if at % 2 else []))
        commit = git(repository, "rev-parse", "HEAD")
        for file in (clone / "pins.yaml", *(clone / ".github/workflows").iterdir()):
            file.write_text(file.read_text(encoding="utf-8").replace(pin["commit"], commit), encoding="utf-8")


def look_up(root: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "delivery", "pins", "--root", str(root)]
    github = os.environ | {"GITHUB_SERVER_URL": f"file://{root}/github"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=github)


def test_pins_and_tree_list_the_same() -> None:
    assert list(out_of_step(ROOT, read(ROOT))) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("components/vllm/deployment.yaml", ":v0.33.0", ":v0.34.0", "components/vllm/deployment.yaml: vllm/vllm-openai:v0.34.0 is not in"),
        ("platform/cert-manager/helmrelease.yaml", "v1.21.2", "v1.22.0", "helmrelease.yaml does not use cert-manager v1.21.2"),
        ("clusters/prod/argocd/application.yaml", "4.15.1", "4.16.0", "application.yaml: ingress-nginx 4.16.0 is not in pins.yaml"),
        ("apps/llm-api/Dockerfile", "cuda:13.2.0-base", "cuda:13.3.0-base", "Dockerfile: nvidia/cuda:13.3.0-base-ubuntu24.04 is not in"),
        ("tools/kind-cluster", "registry:3.1.1", "registry:3.2.0", "tools/kind-cluster: registry:3.2.0 is not in pins.yaml"),
        (
            ".github/workflows/ci.yml",
            "# v7.0.1",
            "# v7.0.2",
            "ci.yml: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.2 is not",
        ),
        (".github/workflows/ci.yml", "@3d3c", "@4d3c", "ci.yml: actions/checkout@4d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1 is not"),
    ],
)
def test_a_version_changed_in_one_place_is_found(file: str, old: str, new: str, problem: str, clone: Path, edit: Edit) -> None:
    edit(file, old, new)
    assert any(problem in line for line in out_of_step(clone, read(clone)))


def test_published_pins_are_found_with_their_digest(published: Path) -> None:
    done = look_up(published)
    assert done.returncode == 0, done.stdout
    assert "cert-manager v1.21.2: ok" in done.stdout
    assert "nginx-gateway-fabric 2.6.7: ok" in done.stdout
    assert f":v0.33.0: found with {DIGEST}; pins.yaml has no digest" in done.stdout
    assert "not-promoted: a placeholder" in done.stdout
    assert len(re.findall(r"^[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+: ok$", done.stdout, re.MULTILINE)) == len(
        list((published / "github").glob("*/*"))
    )


def test_a_moved_or_missing_tag_of_an_action_is_found(published: Path) -> None:
    moved = published / "github/actions/checkout"
    git(moved, "commit", "-q", "--allow-empty", "-m", "something else")
    git(moved, "tag", "--force", "v7.0.1")
    git(published / "github/actions/cache", "tag", "--delete", "v5.0.5")
    shutil.rmtree(published / "github/docker/login-action")
    done = look_up(published)
    assert done.returncode == 1
    assert f"actions/checkout v7.0.1 is now {git(moved, 'rev-parse', 'HEAD')}" in done.stdout
    assert "/actions/cache has no tag v5.0.5" in done.stdout
    assert "/docker/login-action is unreachable" in done.stdout


def test_all_problems_are_reported_at_once(published: Path, edit: Edit) -> None:
    edit("pins.yaml", "    tag: v0.33.0", f"    tag: v0.33.0\n    digest: sha256:{'b' * 64}")
    edit("pins.yaml", "tag: '13'", "tag: '14'")
    edit("apps/llm-api/Dockerfile", "/cuda:13", "/cuda:14")
    for file in ("pins.yaml", "platform/ingress-nginx/helmrelease.yaml", "clusters/prod/argocd/application.yaml"):
        edit(file, "4.15.1", "4.15.9")
    shutil.rmtree(published / "overlays")
    done = look_up(published)
    assert done.returncode == 1
    for problem in (
        "the tag was moved",
        "/v2/cuda/manifests/14 returned 404",
        "has no ingress-nginx 4.15.9; the newest are 4.15.2, 4.15.1",
    ):
        assert problem in done.stdout
    assert done.stderr == "3 problems\n"
