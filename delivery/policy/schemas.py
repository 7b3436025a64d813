"""known-fields: every field is in the schema of its kind. An object without a schema is an error and is not skipped."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from delivery.policy.finding import Problem
from delivery.rendering import Rendered

KUBERNETES = ("1.35", "1.36", "1.37")
FILE = "{{.ResourceKind}}{{.KindSuffix}}.json"
FIX = "look the field up; for a new kind add its schema to tools/schemas/sources.yaml and run `make schemas`"


@dataclass(frozen=True)
class Schemas:
    kubeconform: Path
    folder: Path
    unknown_kinds: bool = False
    """Whether kinds without a schema pass: a Helm chart can contain custom kinds."""

    def problems(self, rendered: Rendered) -> Iterator[Problem]:
        """Each problem once, with the versions of Kubernetes that it concerns."""
        versions_of: dict[Problem, list[str]] = {}
        for version in KUBERNETES:
            for problem in self._against(version, rendered):
                versions_of.setdefault(problem, []).append(version)
        for problem, versions in versions_of.items():
            yield replace(problem, because=f"Kubernetes {', '.join(versions)}: {problem.because}")

    def _against(self, version: str, rendered: Rendered) -> Iterator[Problem]:
        locations = [f"{self.folder / name}/{FILE}" for name in (f"v{version}", "crds", "nginx")]
        command = [str(self.kubeconform), "-strict", "-output", "json", "-kubernetes-version", f"{version}.0"]
        if self.unknown_kinds:
            command.append("-ignore-missing-schemas")
        for location in locations:
            command += ["-schema-location", location]
        result = subprocess.run(command, check=False, capture_output=True, text=True, input=rendered.text())  # noqa: S603
        if result.returncode not in {0, 1} or not result.stdout:
            raise RuntimeError(f"kubeconform: {result.stderr or result.stdout}")
        for found in json.loads(result.stdout).get("resources") or []:
            yield from self._problem(found, rendered)

    def _problem(self, found: dict[str, Any], rendered: Rendered) -> Iterator[Problem]:
        subject = f"{found['kind']}/{found['name']}"
        details = found.get("validationErrors") or [{"path": "", "msg": found["msg"]}]
        for detail in details:
            path = detail["path"].replace("/", ".").strip(".")
            file = rendered.file(found["kind"], found["name"], _key(detail))
            yield Problem(file, f"{subject} {path}".strip(), found["status"], detail["msg"], FIX)


def _key(detail: dict[str, str]) -> str:
    """The unknown field in the message, else the last part of the path."""
    named = re.search(r"additional propert(?:y|ies) '([^']+)'", detail["msg"])
    return named[1] if named else detail["path"].rpartition("/")[2]
