"""Selects the checks that a change needs, and reports whether all of them passed.

The check on a cluster takes half an hour. ci.yml skips it if the change cannot break the image there.
"""

from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

from delivery.environments import pin_file
from delivery.git.clone import GitError
from delivery.git.remote import Git
from delivery.overlay_image import read_pin, write_pin

UNRELATED = ("*.md", "docs/*", "clusters/*", "platform/*", ".github/renovate.json", "LICENSE", "pins.yaml")
"""Patterns of whole paths that cannot break the image. Any other file needs the cluster, so a new folder does by default."""
SKIPPABLE = {"cluster": "cluster"}
"""Jobs that may be skipped, each with the output of the job `changed` that must be 'false' for that."""


def changed(git: Git, base: str) -> list[str]:
    """The changed files that need a check on a cluster; empty if none does. If `base` is unknown (forced push), everything has changed."""
    try:
        start = git("merge-base", base, "HEAD")
        files = git("diff", "--name-only", "--no-renames", start, "HEAD").splitlines()
    except GitError:
        return [f"(everything: {base[:12]} is not an ancestor of HEAD)"]
    return [file for file in files if not any(fnmatch(file, pattern) for pattern in UNRELATED) and not _is_bump(git, start, file)]


def _is_bump(git: Git, start: str, file: str) -> bool:
    """Whether the file is dev's kustomization and only the pin differs: that image was checked before it was built."""
    if file != pin_file("dev"):
        return False
    old, new = git.read(start, file), git.read("HEAD", file)
    pin = replace(read_pin(new, file), digest=read_pin(new, file).digest or "")
    return write_pin(old, file, pin) == new


def not_passed(needs: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each job that did not pass. `needs`: GitHub's context of that name. A cancelled or skipped job did not pass."""
    if "changed" not in needs:
        return ["changed: not among the jobs, so no other job may be skipped"]
    outputs = needs["changed"].get("outputs", {}) if needs["changed"]["result"] == "success" else {}
    return [f"{name}: {job['result']}" for name, job in needs.items() if not _passed(name, job["result"], outputs)]


def _passed(name: str, result: str, outputs: dict[str, str]) -> bool:
    return result == "success" or (result == "skipped" and name in SKIPPABLE and outputs.get(SKIPPABLE[name]) == "false")
