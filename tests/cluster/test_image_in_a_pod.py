"""The image accepts the settings of every overlay."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cluster.conftest import ROOT
from cluster.kube import Kube

from delivery.checks.image_settings import read, refused


@pytest.mark.parametrize("overlay", sorted(path.name for path in (ROOT / "overlays").iterdir() if path.is_dir()))
def test_the_image_accepts_what_the_overlay_sets(kube: Kube, kustomize: Path, overlay: str) -> None:
    pod = kube.pods()[0]["metadata"]["name"]

    def in_the_pod(arguments: Sequence[str]) -> str:
        done = kube.run("exec", pod, "--", "llm-api", *arguments, check=False)
        done.check_returncode()
        return done.stdout

    with pytest.raises(subprocess.CalledProcessError):
        in_the_pod(["nonesuch"])
    assert [str(found) for found in refused(read(f"overlays/{overlay}", kustomize.parent, ROOT), in_the_pod)] == []
