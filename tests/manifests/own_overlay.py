"""A production overlay for tests, in a copy of the tree. Uses environment.yaml of overlays/prod, and ignores its pin and components."""

from pathlib import Path
from typing import Literal

from delivery.overlay_image import ImagePin, write_pin

WayIn = Literal["ingress", "gateway"]
PIN = ImagePin.of_commit("registry.example/team/llm-api", "5a" * 20, "sha256:" + "5a" * 32)
FILE = "overlays/prod/kustomization.yaml"
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: llm-api
resources:
  - ../../base
  - environment.yaml
components:
  - ../../components/gpu
  - ../../components/model-cache
  - ../../components/tls
  - ../../components/WAY_IN
  - ../../components/api-keys
  - ../../components/monitoring
  - ../../components/autoscaling
  - ../../components/smoke
patches:
  - path: deployment.yaml
images:
  - name: llm-api
    newName: llm-api
    newTag: dev
"""


def own_prod(root: Path, way_in: WayIn = "ingress", pin: ImagePin = PIN) -> None:
    (root / FILE).write_text(write_pin(KUSTOMIZATION.replace("WAY_IN", way_in), FILE, pin), encoding="utf-8")
