"""The git repository that the cluster syncs from: a bare repository on this machine, and a clone of HEAD for commits."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bump.repositories import AUTHOR
from cluster.conftest import ROOT


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.url = f"file://{folder}/llm-api.git"
        _run("git", "init", "--quiet", "--bare", "--initial-branch", "main", folder / "llm-api.git")
        _run("git", "clone", "--quiet", "--no-local", ROOT, self.folder)
        self.git("checkout", "--quiet", "-B", "main")
        self.git("remote", "set-url", "origin", self.url)

    def git(self, *arguments: str) -> str:
        return _run("git", "-C", self.folder, *arguments).strip()

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def edit(self, file: str, pattern: str, by: str, *, every: bool = False) -> None:
        """Replaces the only match of the pattern, or every match."""
        path = self.folder / file
        text, count = re.subn(pattern, by, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count == 1 or (every and count), f"{pattern!r} matches {count} times in {file}"
        path.write_text(text, encoding="utf-8")

    def push(self, subject: str) -> str:
        """Commits all edits and pushes them to main. Returns the commit."""
        self.git("commit", "--quiet", "--all", "--message", subject)
        self.git("push", "--quiet", "origin", "main")
        return self.head

    def revert(self, commits: int = 1) -> str:
        """Reverts the newest commits, and pushes. Returns the new commit."""
        self.git("revert", "--no-edit", f"HEAD~{commits}..HEAD")
        self.git("push", "--quiet", "origin", "main")
        return self.head

    def build(self, image: str) -> str:
        """Builds and pushes the image of the commit. Returns its name by digest."""
        output = _run("make", "--no-print-directory", "image", cwd=self.folder, PUSH=image, IMAGE="llm-api:dev")
        return output.strip().splitlines()[-1]

    def bump(self, image: str) -> str:
        """Bumps as the pipeline does. Returns the new head of main."""
        name, _, digest = image.partition("@")
        self.delivery("bump", "--image", name, "--digest", digest, "--commit", self.head)
        return self.pull()

    def pull(self) -> str:
        self.git("pull", "--quiet", "--ff-only", "origin", "main")
        return self.head

    def merge(self, branch: str) -> str:
        """Merges the branch, as a reviewer merges a pull request. Returns the new head of main."""
        self.git("fetch", "--quiet", "origin", branch)
        self.git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", "FETCH_HEAD")
        self.git("push", "--quiet", "origin", "main")
        return self.head

    def delivery(self, *arguments: str, **environment: str) -> str:
        """Runs a delivery command. Returns its output; a failure fails the test."""
        return _run(sys.executable, "-m", "delivery", *arguments, cwd=self.folder, **environment).strip()


def _run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | AUTHOR | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}"
    return done.stdout
