"""What kustomize renders, each object with the files it comes from."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
ORIGIN = "config.kubernetes.io/origin"
CHANGES = "alpha.config.kubernetes.io/transformations"


class RenderError(Exception):
    """What kustomize said."""


@dataclass(frozen=True)
class Rendered:
    folder: str
    objects: list[Object]
    files: dict[tuple[str, str], str]
    """By kind and name: the file an object comes from, and the kustomizations that changed it."""

    def text(self) -> str:
        return yaml.safe_dump_all(self.objects, sort_keys=False)


def render(root: Path, folder: str, kustomize: Path) -> Rendered:
    """Raises RenderError."""
    with _wrapper(root, folder) as wrapper:
        result = subprocess.run([kustomize, "build", wrapper], check=False, capture_output=True, text=True)  # noqa: S603
        if result.returncode:
            raise RenderError(f"{folder}: {result.stderr.strip().replace(str(root) + '/', '')}")
        objects = [found for found in yaml.safe_load_all(result.stdout) if found]
        files = {(found["kind"], found["metadata"]["name"]): _files(found, wrapper, root) for found in objects}
    return Rendered(folder, objects, files)


@contextmanager
def _wrapper(root: Path, folder: str) -> Iterator[Path]:
    """A kustomization that asks for origins; those annotations have no place in the folder's own."""
    (root / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root / "build", prefix="render-") as name:
        wrapper = {"resources": [f"../../{folder}"], "buildMetadata": ["originAnnotations", "transformerAnnotations"]}
        (Path(name) / "kustomization.yaml").write_text(yaml.safe_dump(wrapper), encoding="utf-8")
        yield Path(name)


def _files(found: Object, wrapper: Path, root: Path) -> str:
    annotations = found["metadata"].get("annotations", {})
    origin = yaml.safe_load(annotations.pop(ORIGIN, "")) or {}
    changes = yaml.safe_load(annotations.pop(CHANGES, "")) or []
    if not annotations:
        found["metadata"].pop("annotations", None)
    source = _relative(origin.get("path") or origin.get("configuredIn", "."), wrapper, root)
    changed = dict.fromkeys(_relative(change["configuredIn"], wrapper, root).removesuffix("/kustomization.yaml") for change in changes)
    others = [folder for folder in changed if folder != source.rpartition("/")[0]]
    return f"{source} (changed in {', '.join(others)})" if others else source


def _relative(path: str, wrapper: Path, root: Path) -> str:
    return str((wrapper / path).resolve().relative_to(root.resolve()))
