"""Renders every overlay, platform and cluster folder, and checks the invariants in each."""

from collections.abc import Iterator
from pathlib import Path

from delivery.policy.checks_by_invariant import common_findings, findings
from delivery.policy.facts import Facts, read_facts
from delivery.policy.finding import Finding
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas
from delivery.rendering import RenderError, render


def check(root: Path, tools: Path, only: str | None = None) -> Iterator[tuple[str, list[Finding] | list[str]]]:
    """Yields each folder, or only the given one, with its findings. A missing tool raises an error; no check is skipped."""
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
    return common_findings(rendered, schemas)
