"""A commit's files in a folder of their own; the working tree is left alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery.git import Git
from delivery.kustomize import Rendered, render


@contextmanager
def checked_out(git: Git, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="delivery-") as folder:
        git.extract(commit, Path(folder), "base", "components", "overlays")
        yield Path(folder)


def rendered_at(git: Git, commit: str, overlay: str, kustomize: Path) -> Rendered:
    """Raises RenderError."""
    with checked_out(git, commit) as folder:
        return render(folder, overlay, kustomize)
