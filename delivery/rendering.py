"""Renders a folder with kustomize, and records the files of each object."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from delivery.errors import DeliveryError

Object = dict[str, Any]
ORIGIN = "config.kubernetes.io/origin"
CHANGES = "alpha.config.kubernetes.io/transformations"


class RenderError(DeliveryError):
    """Kustomize's error message."""


@dataclass(frozen=True)
class Rendered:
    folder: str
    objects: list[Object]
    root: Path
    origins: dict[tuple[str, str], tuple[str, ...]]
    """By kind and name: the file of the object, then the folders whose kustomization changed it, in order."""

    def file(self, kind: str, name: str, key: str) -> str:
        """The file that sets `key` of an object. The last folder wins, as it does in kustomize."""
        origin, *folders = self.origins.get((kind, name), (f"{self.folder}/kustomization.yaml",))
        written = re.compile(rf"(?m)^[^#\n]*(?<![\w.-]){re.escape(key)}(?![\w.-])")
        for folder in reversed(folders):
            for file in sorted((self.root / folder).glob("*.yaml"), key=lambda file: file.name == "kustomization.yaml"):
                if written.search(file.read_text(encoding="utf-8")) and self._concerns(file, kind):
                    return str(file.relative_to(self.root))
        return origin

    def _concerns(self, file: Path, kind: str) -> bool:
        return file.name == "kustomization.yaml" or any(f"kind: {kind}" in line for line in file.read_text(encoding="utf-8").splitlines())

    def text(self) -> str:
        return yaml.safe_dump_all(self.objects, sort_keys=False)


def render(root: Path, folder: str, kustomize: Path) -> Rendered:
    """Renders `folder`, relative to `root`. Raises RenderError."""
    with _wrapper(root, folder) as wrapper:
        result = subprocess.run([kustomize, "build", wrapper], check=False, capture_output=True, text=True)  # noqa: S603
        if result.returncode:
            raise RenderError(f"{folder}: {result.stderr.strip().replace(str(root) + '/', '')}")
        objects = [found for found in yaml.safe_load_all(result.stdout) if found]
        origins = {(found["kind"], found["metadata"]["name"]): _origins(found, wrapper, root) for found in objects}
    return Rendered(folder, objects, root, origins)


@contextmanager
def _wrapper(root: Path, folder: str) -> Iterator[Path]:
    """A temporary kustomization that requests origin annotations, because they do not belong in the committed ones."""
    (root / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root / "build", prefix="render-") as name:
        wrapper = {"resources": [f"../../{folder}"], "buildMetadata": ["originAnnotations", "transformerAnnotations"]}
        (Path(name) / "kustomization.yaml").write_text(yaml.safe_dump(wrapper), encoding="utf-8")
        yield Path(name)


def _origins(found: Object, wrapper: Path, root: Path) -> tuple[str, ...]:
    annotations = found["metadata"].get("annotations", {})
    origin = yaml.safe_load(annotations.pop(ORIGIN, "")) or {}
    changes = yaml.safe_load(annotations.pop(CHANGES, "")) or []
    if not annotations:
        found["metadata"].pop("annotations", None)
    source = _relative(origin.get("path") or origin.get("configuredIn", "."), wrapper, root)
    folders = dict.fromkeys(_relative(change["configuredIn"], wrapper, root).rpartition("/")[0] for change in changes)
    return source, *(folder for folder in folders if folder != source.rpartition("/")[0])


def _relative(path: str, wrapper: Path, root: Path) -> str:
    return str((wrapper / path).resolve().relative_to(root.resolve()))
