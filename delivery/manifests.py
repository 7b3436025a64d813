"""Renders and checks every overlay, platform and cluster folder: `python -m delivery.manifests`. Counts all failures."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from delivery.facts import read_facts
from delivery.kustomize import RenderError, render
from delivery.policy.finding import Finding
from delivery.policy.invariants import findings
from delivery.policy.overlay import Facts, Overlay
from delivery.policy.schemas import Schemas

KNOWN_FIELDS = "every field is known, in Kubernetes 1.35 to 1.37 and in every CRD"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--tools", type=Path, required=True, help="the folder that tools/build prints")
    arguments = parser.parse_args()
    failures = 0
    for folder, result in check(arguments.root, arguments.tools):
        failures += len(result)
        print(f"{folder}: {'ok' if not result else f'{len(result)} to put right'}")
        for found in result:
            print(f"\n{found}\n")
    sys.exit(f"{failures} to put right" if failures else None)


def check(root: Path, tools: Path, only: str | None = None) -> Iterator[tuple[str, list[Finding] | list[str]]]:
    """Each folder, or the one named, with what is wrong in it. A missing tool is an error, not a skipped check."""
    kustomize, schemas = tools / "kustomize", Schemas(tools / "kubeconform", root / "tools/schemas")
    facts = read_facts(root, kustomize)
    for path in sorted((*root.glob("overlays/*"), *root.glob("platform/*"), *root.glob("clusters/*/*"))):
        folder = str(path.relative_to(root))
        if (path / "kustomization.yaml").exists() and only in {folder, None}:
            try:
                yield folder, _folder(root, folder, kustomize, schemas, facts)
            except RenderError as error:
                yield folder, [str(error)]


def _folder(root: Path, folder: str, kustomize: Path, schemas: Schemas, facts: Facts) -> list[Finding]:
    rendered = render(root, folder, kustomize)
    if folder.startswith("overlays/"):
        return findings(Overlay(folder.removeprefix("overlays/"), rendered, facts), schemas)
    return [Finding(folder, 15, KNOWN_FIELDS, problem) for problem in schemas.problems(rendered)]


if __name__ == "__main__":
    main()
