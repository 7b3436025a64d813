"""The bootstrap uses `kubectl apply -k`, and the kustomize in kubectl is older than ours."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file for folder in ("base", "components", "overlays", "clusters", "platform") for file in (ROOT / folder).rglob("kustomization.yaml")
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_replacements_select_by_plain_names(file: Path) -> None:
    """kubectl 1.35 treats a pattern as a plain name, matches nothing and reports no error."""
    replacements = yaml.safe_load(file.read_text(encoding="utf-8")).get("replacements", [])
    names = [target["select"].get("name", "") for replacement in replacements for target in replacement["targets"]]
    assert [name for name in names if not name.replace("-", "").isalnum() and name] == []
