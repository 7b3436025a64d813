"""A clone of the repository: reads commits and makes new ones. Leaves the working tree, the index and the branches alone."""

import os
import re
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from delivery.errors import DeliveryError

USERINFO = re.compile(r"(?<=://)[^\s'\"]*@")


class GitError(DeliveryError):
    """Git's error message, in one line."""


class Clone:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def commit_named(self, name: str) -> str:
        """Returns the full commit id. Raises GitError if there is no such commit."""
        commit = f"{no_option('commit', name)}^{{commit}}"
        return self("rev-parse", "--verify", "--quiet", commit, failure=f"{name} is not a commit of this repository")

    def knows(self, commit: str) -> bool:
        return self._has(f"{commit}^{{commit}}")

    def is_ancestor(self, older: str, newer: str) -> bool:
        """A commit is an ancestor of itself. Raises GitError if either commit is missing."""
        done = self._try("merge-base", "--is-ancestor", older, newer)
        if done.returncode not in (0, 1):
            raise GitError(f"git merge-base: {reason(done.stderr)}")
        return done.returncode == 0

    def read(self, commit: str, file: str) -> str:
        """Returns the file's text with its line endings unchanged."""
        return self("show", f"{commit}:{file}", strip=False, failure=f"{commit[:12]} has no {file}")

    def commit(self, parent: str, file: str, text: str, message: str) -> str:
        """Makes a commit on `parent` that changes one file. Returns its id; no branch points to it yet."""
        blob = self("hash-object", "-w", "--stdin", text=text)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self("read-tree", parent, environment=index)
            self("update-index", "--cacheinfo", f"100644,{blob},{file}", environment=index)
            tree = self("write-tree", environment=index)
        return self("commit-tree", tree, "-p", parent, text=message)

    def extract(self, commit: str, folder: Path, *paths: str) -> None:
        """Writes the files of a commit into a folder."""
        command = ["git", "-C", str(self._folder), "archive", "--format=tar", commit, *paths]
        archive = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if archive.returncode:
            raise GitError(f"{commit[:12]}: {reason(archive.stderr.decode(errors='replace'))}")
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")

    def __call__(
        self, *arguments: str, text: str | None = None, strip: bool = True, failure: str = "", environment: dict[str, str] | None = None
    ) -> str:
        """Runs git and returns its output. Raises GitError with `failure`, or with git's own reason."""
        done = self._try(*arguments, text=text, environment=environment)
        if done.returncode:
            raise GitError(failure or f"git {arguments[0]}: {reason(done.stderr)}")
        return done.stdout.strip() if strip else done.stdout

    def _whole(self, found: str) -> bool:
        """Whether the object is here with everything that it references. During another fetch, a commit arrives before its files."""
        return self._try("rev-list", "--objects", "--quiet", found, "--not", "--all").returncode == 0

    def _has(self, name: str) -> bool:
        return self._try("cat-file", "-e", name).returncode == 0

    def _try(
        self, *arguments: str, text: str | None = None, environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        plain = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(environment or {})}
        command = ["git", "-C", str(self._folder), *arguments]
        # In bytes, because text mode would change line endings.
        sent = None if text is None else text.encode()
        done = subprocess.run(command, input=sent, env=os.environ | plain, capture_output=True, check=False)  # noqa: S603
        out, err = (printed.decode(errors="replace") for printed in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(command, done.returncode, out, err)


def no_option(what: str, given: str) -> str:
    """Raises GitError for a value that git would read as an option, because an option can name a program to run."""
    if not given or given.startswith("-"):
        raise GitError(f"{what} {redacted(given)!r} is not a name: it must not be empty or begin with a dash")
    return given


def redacted(text: str) -> str:
    """Removes user and password from URLs: either may be a token."""
    return USERINFO.sub("***@", text)


def reason(printed: str) -> str:
    """The lines of git's output that have the reason of a failure, redacted and without git's hints."""
    kept = [
        line.removeprefix("remote:").strip()
        for line in redacted(printed).splitlines()
        if line.startswith(("remote:", "error:", "fatal:", "!", "ssh:"))
    ]
    return "; ".join(dict.fromkeys(line for line in kept if line)) or "git printed no reason"
