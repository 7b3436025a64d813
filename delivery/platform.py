"""Renders each chart of platform/ with its values, as Flux and Argo CD will, and checks what comes out: `python -m delivery.platform`.

Charts are pulled from their repositories, at the versions that the HelmReleases name; --charts takes them from a folder instead.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from delivery.kustomize import Object, Rendered
from delivery.policy.schemas import Schemas
from delivery.tools import built


class ChartError(Exception):
    """What helm said of a chart, or what is wrong in what it renders."""


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--charts", type=Path, help="a folder with a folder for each chart")
    arguments = parser.parse_args()
    helm, schemas = built("charts") / "helm", Schemas(built() / "kubeconform", arguments.root / "tools/schemas", strangers=True)
    wrong = 0
    for folder in sorted(path.parent for path in arguments.root.glob("platform/*/helmrelease.yaml")):
        try:
            print(f"{folder.name}: {checked(Chart.of(folder), helm, schemas, arguments.charts)}")
        except ChartError as error:
            wrong += 1
            print(f"{folder.name}: {error}", file=sys.stderr)
    sys.exit(f"{wrong} to put right" if wrong else None)


def checked(chart: Chart, helm: Path, schemas: Schemas, charts: Path | None) -> str:
    """Raises ChartError."""
    objects = chart.rendered(helm, charts)
    if told := list(_wrong(chart, objects, schemas)):
        raise ChartError("\n".join(told))
    return f"{chart.version}, {len(objects)} objects"


def _wrong(chart: Chart, objects: list[Object], schemas: Schemas) -> Iterator[str]:
    if not objects:
        yield "the chart renders nothing"
    for found in objects:
        if (namespace := found["metadata"].get("namespace", chart.namespace)) != chart.namespace:
            yield f"{found['kind']}/{found['metadata']['name']} is in {namespace}: the AppProject `platform` allows {chart.namespace} alone"
    for problem in schemas.problems(Rendered(str(chart.folder), objects, Path(), {})):
        yield f"{problem.field}: {problem.because}"


def _without_nulls(found: Any) -> Any:
    """As the API server takes it: null is absent. Templates that print an unset value leave some."""
    if isinstance(found, dict):
        return {key: _without_nulls(value) for key, value in found.items() if value is not None}
    return [_without_nulls(entry) for entry in found] if isinstance(found, list) else found


def _document(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


if __name__ == "__main__":
    main()
