"""Whether a change can break the image on a cluster: if not, ci.yml leaves the one check out that takes half an hour."""

from dataclasses import replace
from fnmatch import fnmatch

from delivery.environments import pin_file
from delivery.git import Git, GitError
from delivery.image_pin import read_pin, write_pin

UNRELATED = ("*.md", "docs/*", "clusters/*", "platform/*", ".github/renovate.json", "LICENSE", "pins.yaml")
"""Patterns over whole paths. What is not listed counts: a new folder is tried on a cluster until somebody says otherwise."""


def changed(git: Git, base: str) -> list[str]:
    """Why the cluster must be asked, as files; empty when it need not be. Without a known base (a forced push), everything has changed."""
    try:
        start = git("merge-base", base, "HEAD")
        files = git("diff", "--name-only", "--no-renames", start, "HEAD").splitlines()
    except GitError:
        return [f"(everything: {base[:12]} is not a commit that HEAD comes from)"]
    return [file for file in files if not any(fnmatch(file, pattern) for pattern in UNRELATED) and not _a_bump(git, start, file)]


def _a_bump(git: Git, start: str, file: str) -> bool:
    """The file is dev's pin, and nothing but the pin differs: that image was tried before it was built."""
    if file != pin_file("dev"):
        return False
    old, new = git.read(start, file), git.read("HEAD", file)
    pin = replace(read_pin(new, file), digest=read_pin(new, file).digest or "")
    return write_pin(old, file, pin) == new
