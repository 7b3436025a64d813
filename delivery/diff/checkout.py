"""Renders an overlay of any commit, in a temporary folder. The working tree is not touched."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery.git.remote import Git
from delivery.rendering import Rendered, render


@contextmanager
def checked_out(git: Git, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="delivery-") as folder:
        git.extract(commit, Path(folder), "base", "components", "overlays")
        yield Path(folder)


def rendered_at(git: Git, commit: str, overlay: str, kustomize: Path) -> Rendered:
    """Raises RenderError or GitError."""
    with checked_out(git, commit) as folder:
        return render(folder, overlay, kustomize)
