"""git, as far as delivery needs it. Nothing here touches the working tree, the index or a branch of the clone it runs in."""

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

REFUSALS = ("protected", "pre-receive", "hook declined", "read-only", "permission", "denied", "not allowed", "could not read", "unable to")
OVERTAKEN = ("cannot lock ref", "fetch first", "non-fast-forward", "already exists")


class GitError(Exception):
    """What git said, in one line."""


class Moved(Exception):
    """Somebody else pushed first: fetch and decide anew."""


class Git:
    def __init__(self, folder: Path, remote: str, branch: str) -> None:
        self._folder, self.remote, self._branch = folder, remote, branch

    def fetch(self) -> str:
        """Gets the branch as the remote has it now. Gives its commit."""
        if self("rev-parse", "--is-shallow-repository") == "true":
            raise GitError("this clone is shallow, and ancestry decides: clone the whole history (actions/checkout: fetch-depth: 0)")
        told = self("ls-remote", self.remote, f"refs/heads/{self._branch}")
        if not told:
            raise GitError(f"{self.remote} has no branch {self._branch}")
        head = told.split()[0]
        self.get([head])
        return head

    def get(self, objects: Iterable[str]) -> None:
        """Gets commits or tags by their ids, without FETCH_HEAD: several deliveries in one clone do not disturb each other."""
        if wanted := [found for found in objects if not self._has(found)]:
            self("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self.remote, *wanted)

    def commit_named(self, name: str) -> str:
        """The full id. Raises GitError when there is no such commit."""
        return self("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", failure=f"{name} is not a commit of this repository")

    def knows(self, commit: str) -> bool:
        return self._has(f"{commit}^{{commit}}")

    def is_ancestor(self, older: str, newer: str) -> bool:
        return self._try("merge-base", "--is-ancestor", older, newer).returncode == 0

    def read(self, commit: str, file: str) -> str:
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
            raise GitError(f"{commit[:12]}: {_line(archive.stderr.decode(errors='replace'))}")
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")

    def push(self, commit: str) -> None:
        """Raises Moved when the branch is not at the commit's parent any more."""
        self._push(self._branch, f"{commit}:refs/heads/{self._branch}")

    def push_branch(self, branch: str, commit: str) -> None:
        """Makes a branch, or moves one of this name, wherever it was."""
        self._push(branch, f"+{commit}:refs/heads/{branch}")

    def push_tag(self, name: str, commit: str, message: str) -> None:
        """Makes an annotated tag, on the remote alone. Raises Moved when there is one of this name."""
        tagger = self("var", "GIT_COMMITTER_IDENT")
        tag = self("mktag", text=f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}\n")
        self._push(name, f"{tag}:refs/tags/{name}")

    def _push(self, name: str, refspec: str) -> None:
        done = self._try("push", "--quiet", "--porcelain", self.remote, refspec)
        if done.returncode == 0:
            return
        told = done.stdout + done.stderr
        refused = any(word in told.lower() for word in REFUSALS)
        if any(word in told for word in OVERTAKEN) or (not refused and ("rejected" in told or "failed to update ref" in told)):
            raise Moved
        raise GitError(f"{self.remote} refuses a push to {name}: {_line(told)}")

    def __call__(
        self, *arguments: str, text: str | None = None, strip: bool = True, failure: str = "", environment: dict[str, str] | None = None
    ) -> str:
        done = self._try(*arguments, text=text, environment=environment)
        if done.returncode:
            raise GitError(failure or f"git {arguments[0]}: {_line(done.stderr)}")
        return done.stdout.strip() if strip else done.stdout

    def _has(self, name: str) -> bool:
        return self._try("cat-file", "-e", name).returncode == 0

    def _try(
        self, *arguments: str, text: str | None = None, environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        plain = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(environment or {})}
        command = ["git", "-C", str(self._folder), *arguments]
        return subprocess.run(command, input=text, env=os.environ | plain, capture_output=True, text=True, check=False)  # noqa: S603


def _line(told: str) -> str:
    """The lines that say why; git's hints and addresses, which may hold a token, are left out."""
    reasons = [line.removeprefix("remote:").strip() for line in told.splitlines() if line.startswith(("remote:", "error:", "fatal:", "!"))]
    return "; ".join(reason for reason in reasons if reason and "://" not in reason) or "it says nothing more"
