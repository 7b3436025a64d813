"""A copy of parts of this repository, for tests that edit or break it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
Edit = Callable[[str, str, str], None]
"""Replaces text in a file of the copy, once. Text that is missing fails the test."""


def copy_tree(folder: Path, *names: str) -> Path:
    for name in names:
        subprocess.run(["cp", "-r", "--parents", name, folder], check=True, cwd=ROOT)
    return folder


def editor(folder: Path) -> Edit:
    def replace(file: str, old: str, new: str) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}"
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace
