"""Renders an overlay at any commit, and diffs two renderings object by object. The working tree is not touched."""

import difflib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from delivery.diff.masked import Masking
from delivery.git.remote import Git
from delivery.rendering import Object, Rendered, render


@contextmanager
def _extracted(git: Git, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="delivery-") as folder:
        git.extract(commit, Path(folder), "base", "components", "overlays")
        yield Path(folder)


def rendered_at(git: Git, commit: str, overlay: str, kustomize: Path) -> Rendered:
    """Raises RenderError or GitError."""
    with _extracted(git, commit) as folder:
        return render(folder, overlay, kustomize)


def changes(old: Rendered, new: Rendered) -> Iterator[str]:
    """One unified diff for each changed object, in the new order, with removed objects last. Possible secrets are masked."""
    masking = Masking()
    before, after = _by_name(masking.objects(old.objects)), _by_name(masking.objects(new.objects))
    for name in [*after, *(name for name in before if name not in after)]:
        if difference := "".join(_unified(name, before.get(name), after.get(name))):
            yield difference


def _by_name(objects: list[Object]) -> dict[str, Object]:
    return {f"{found['kind']}/{found['metadata']['name']}": found for found in objects}


def _unified(name: str, before: Object | None, after: Object | None) -> Iterator[str]:
    names = [name if found else "/dev/null" for found in (before, after)]
    return difflib.unified_diff(_lines(before), _lines(after), names[0], names[1], n=2)


def _lines(found: Object | None) -> list[str]:
    return yaml.safe_dump(found, sort_keys=False, width=1000).splitlines(keepends=True) if found else []
