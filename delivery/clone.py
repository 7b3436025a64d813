"""A clone of the repository, as far as delivery reads it and makes commits in it.

Nothing here touches the working tree, the index or a branch.
"""

import os
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from delivery.git_messages import reason, redacted


class GitError(Exception):
    """What git said, in one line."""


class Clone:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def commit_named(self, name: str) -> str:
        """The full id. Raises GitError when there is no such commit."""
        commit = f"{no_option('commit', name)}^{{commit}}"
        return self("rev-parse", "--verify", "--quiet", commit, failure=f"{name} is not a commit of this repository")

    def knows(self, commit: str) -> bool:
        return self._has(f"{commit}^{{commit}}")

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Itself included. Raises GitError when either is not there."""
        done = self._try("merge-base", "--is-ancestor", older, newer)
        if done.returncode not in (0, 1):
            raise GitError(f"git merge-base: {reason(done.stderr)}")
        return done.returncode == 0

    def read(self, commit: str, file: str) -> str:
        """The file's text, its line endings included."""
        return self("show", f"{commit}:{file}", strip=False, failure=f"{commit[:12]} has no {file}")

    def commit(self, parent: str, file: str, text: str, message: str) -> str:
        """Makes a commit on `parent` that changes one file, and gives its id. No branch points to it yet."""
        blob = self("hash-object", "-w", "--stdin", text=text)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self("read-tree", parent, environment=index)
            self("update-index", "--cacheinfo", f"100644,{blob},{file}", environment=index)
            tree = self("write-tree", environment=index)
        return self("commit-tree", tree, "-p", parent, text=message)

    def extract(self, commit: str, folder: Path, *paths: str) -> None:
        """Writes a commit's files into a folder."""
        command = ["git", "-C", str(self._folder), "archive", "--format=tar", commit, *paths]
        archive = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if archive.returncode:
            raise GitError(f"{commit[:12]}: {reason(archive.stderr.decode(errors='replace'))}")
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")

    def __call__(
        self, *arguments: str, text: str | None = None, strip: bool = True, failure: str = "", environment: dict[str, str] | None = None
    ) -> str:
        done = self._try(*arguments, text=text, environment=environment)
        if done.returncode:
            raise GitError(failure or f"git {arguments[0]}: {reason(done.stderr)}")
        return done.stdout.strip() if strip else done.stdout

    def _whole(self, found: str) -> bool:
        """Whether it is here with all that it needs: while another process fetches it, a commit comes before its files."""
        return self._try("rev-list", "--objects", "--quiet", found, "--not", "--all").returncode == 0

    def _has(self, name: str) -> bool:
        return self._try("cat-file", "-e", name).returncode == 0

    def _try(
        self, *arguments: str, text: str | None = None, environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        plain = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(environment or {})}
        command = ["git", "-C", str(self._folder), *arguments]
        # In bytes: text mode would make each line ending its own.
        sent = None if text is None else text.encode()
        done = subprocess.run(command, input=sent, env=os.environ | plain, capture_output=True, check=False)  # noqa: S603
        out, err = (told.decode(errors="replace") for told in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(command, done.returncode, out, err)


def no_option(what: str, given: str) -> str:
    """Raises GitError for what git would take for an option, which may be the name of a program to run."""
    if not given or given.startswith("-"):
        raise GitError(f"{what} {redacted(given)!r} is not a name: it must not be empty or begin with a dash")
    return given
