"""A bare repository with parts of this one, and clones of it, as in a pipeline."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

from copied_tree import copy_tree

FILE = "overlays/dev/kustomization.yaml"
AUTHOR = {f"GIT_{who}_{what}": f"test{at}" for who in ("AUTHOR", "COMMITTER") for what, at in (("NAME", ""), ("EMAIL", "@localhost"))}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *arguments], env=os.environ | AUTHOR, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Remote:
    def __init__(self, folder: Path) -> None:
        self._folder, self.bare, self.work = folder, folder / "main.git", folder / "work"

    @classmethod
    def of_files(cls, folder: Path, *names: str) -> "Remote":
        made = cls(folder)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", made.bare], check=True)
        made.clone("work")
        git(made.work, "checkout", "-q", "-b", "main")
        copy_tree(made.work, *names)
        made.merge("first")
        return made

    def copied(self, folder: Path) -> "Remote":
        """A copy, which is faster than a new repository."""
        copy = Remote(folder)
        for of, to in ((self.bare, copy.bare), (self.work, copy.work)):
            shutil.copytree(of, to)
        git(copy.work, "remote", "set-url", "origin", str(copy.bare))
        return copy

    def clone(self, name: str) -> Path:
        folder = self._folder / name
        subprocess.run(["git", "clone", "-q", self.bare, folder], check=True, capture_output=True)
        return folder

    def merge(self, subject: str, file: str = "code.txt") -> str:
        """Makes a commit on main, as a merged pull request does, with the edits in `work`. Returns its id."""
        if self.head:
            self.pull()
        (self.work / file).parent.mkdir(parents=True, exist_ok=True)
        (self.work / file).write_text(subject, encoding="utf-8")
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", subject)
        git(self.work, "push", "-q", "origin", "main")
        return git(self.work, "rev-parse", "HEAD")

    def pull(self) -> None:
        git(self.work, "pull", "-q", "--ff-only", "origin", "main")

    @property
    def head(self) -> str:
        return git(self.bare, "for-each-ref", "--format=%(objectname)", "refs/heads/main")

    def kustomization(self) -> str:
        return git(self.bare, "show", f"main:{FILE}") + "\n"

    def hook(self, name: str, script: str) -> None:
        path = self.bare / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
