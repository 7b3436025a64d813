"""The first line of each resource names its schema, so editors check the same as `make manifests`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.policy.schemas import KUBERNETES

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tools/schemas"
KUSTOMIZATION = "https://json.schemastore.org/kustomization.json"


def resources() -> Iterator[Path]:
    """Every kustomization and its resources. Not patches: a part of an object does not match the schema."""
    for folder in ("base", "components", "overlays", "platform", "clusters"):
        for kustomization in sorted((ROOT / folder).rglob("kustomization.yaml")):
            yield kustomization
            for listed in yaml.safe_load(kustomization.read_text(encoding="utf-8")).get("resources", []):
                if listed.endswith(".yaml"):
                    yield kustomization.parent / listed


def schema(path: Path) -> str:
    if path.name == "kustomization.yaml":
        return KUSTOMIZATION
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    [name] = {_schema_file(document["kind"], document["apiVersion"]) for document in documents}
    [file] = [folder / name for folder in (SCHEMAS / f"v{KUBERNETES[-1]}", SCHEMAS / "crds", SCHEMAS / "nginx") if (folder / name).exists()]
    return os.path.relpath(file, path.parent)


def _schema_file(kind: str, api_version: str) -> str:
    group, _, version = api_version.rpartition("/")
    return "-".join(filter(None, [kind.lower(), group.partition(".")[0], version])) + ".json"


@pytest.mark.parametrize("path", list(resources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_first_line_names_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first == f"# yaml-language-server: $schema={schema(path)}"
