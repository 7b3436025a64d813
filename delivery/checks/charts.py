"""Renders each Helm chart of platform/ with its values, as Flux and Argo CD do, and checks the objects.

Charts come from their repositories, at the versions in the HelmReleases, or from a folder.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from delivery.errors import DeliveryError
from delivery.policy.schemas import Schemas
from delivery.rendering import Object, Rendered


class ChartError(DeliveryError):
    """Helm's error message, or the problem in the rendered chart."""


@dataclass(frozen=True)
class Chart:
    folder: Path
    name: str
    version: str
    repository: str
    namespace: str

    @classmethod
    def of(cls, folder: Path) -> "Chart":
        release, repository, namespace = (_document(folder / f"{name}.yaml") for name in ("helmrelease", "helmrepository", "namespace"))
        wanted = release["spec"]["chart"]["spec"]
        return cls(folder, wanted["chart"], str(wanted["version"]), repository["spec"]["url"], namespace["metadata"]["name"])

    def rendered(self, helm: Path, charts: Path | None) -> list[Object]:
        """Raises ChartError."""
        command = [str(helm), "template", self.name, *self._source(charts), "--version", self.version, "--namespace", self.namespace]
        command += ["--values", str(self.folder / "values.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise ChartError(f"{self.name} {self.version}: {done.stderr.strip()}")
        return [_without_nulls(found) for found in yaml.safe_load_all(done.stdout) if found]

    def _source(self, charts: Path | None) -> list[str]:
        if charts:
            return [str(charts / self.name)]
        if self.repository.startswith("oci://"):
            return [f"{self.repository}/{self.name}"]
        return [self.name, "--repo", self.repository]


def check(root: Path, helm: Path, schemas: Schemas, charts: Path | None) -> Iterator[tuple[str, str | ChartError]]:
    """Yields each folder of platform/ that has a chart, with the outcome. `charts`: take the charts from this folder."""
    for folder in sorted(path.parent for path in root.glob("platform/*/helmrelease.yaml")):
        try:
            yield folder.name, checked(Chart.of(folder), helm, schemas, charts)
        except ChartError as error:
            yield folder.name, error


def checked(chart: Chart, helm: Path, schemas: Schemas, charts: Path | None) -> str:
    """The version and the number of objects. Raises ChartError."""
    objects = chart.rendered(helm, charts)
    if problems := list(_problems(chart, objects, schemas)):
        raise ChartError("\n".join(problems))
    return f"{chart.version}, {len(objects)} objects"


def _problems(chart: Chart, objects: list[Object], schemas: Schemas) -> Iterator[str]:
    if not objects:
        yield "the chart renders nothing"
    for found in objects:
        if (namespace := found["metadata"].get("namespace", chart.namespace)) != chart.namespace:
            yield f"{found['kind']}/{found['metadata']['name']} is in {namespace}: the AppProject `platform` allows only {chart.namespace}"
    for problem in schemas.problems(Rendered(str(chart.folder), objects, Path(), {})):
        yield f"{problem.field}: {problem.because}"


def _without_nulls(found: Any) -> Any:
    """Removes null fields, which the API server treats as absent. Charts render them for unset values."""
    if isinstance(found, dict):
        return {key: _without_nulls(value) for key, value in found.items() if value is not None}
    return [_without_nulls(entry) for entry in found] if isinstance(found, list) else found


def _document(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document
