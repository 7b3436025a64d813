"""A clone and its remote: fetches and pushes. Never moves a branch of the clone."""

import re
from collections.abc import Iterable
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from delivery.git.clone import Clone, GitError, no_option, reason, redacted

REFUSALS = ("protected", "pre-receive", "hook declined", "read-only", "permission", "denied", "not allowed", "could not read", "unable to")
OVERTAKEN = ("cannot lock ref", "fetch first", "non-fast-forward", "already exists", "stale info")
TRIES = 5  # while the remote is unreachable
NETWORK = re.compile(
    r"could not resolve (host|proxy)|name resolution|failed to connect|couldn't connect|connection (refused|reset|timed out|closed)|"
    r"timed out|network is unreachable|no route to host|early eof|hung up unexpectedly|rpc failed|gnutls|ssl_(read|connect|error)|"
    r"unexpected disconnect|empty reply from server|requested url returned error: (429|5\d\d)",
    re.IGNORECASE,
)
ANSWERED = re.compile(r"(returned error:|HTTP) 4(?!08|29)\d\d")


class Unreachable(GitError):
    """The remote was unreachable, or the connection broke."""


class Moved(Exception):
    """Another push came first. Fetch and decide again."""


class Git(Clone):
    """`pause`: seconds to wait after a failed connection, randomized and doubled each time, to bridge an outage of some seconds."""

    def __init__(self, folder: Path, remote: str, branch: str, pause: float = 1.0) -> None:
        super().__init__(folder)
        self._remote, self._branch, self._pause = no_option("remote", remote), no_option("branch", branch), pause

    def fetch(self) -> str:
        """Fetches the branch and returns its commit. Raises GitError."""
        if self("rev-parse", "--is-shallow-repository") == "true":
            raise GitError("this clone is shallow, but ancestry is needed: clone the whole history (actions/checkout: fetch-depth: 0)")
        head = self.fetch_branch(self._branch)
        if head is None:
            raise GitError(f"{redacted(self._remote)} has no branch {self._branch}")
        return head

    def fetch_branch(self, branch: str) -> str | None:
        """Fetches a branch and returns its commit; None if the remote has no branch of this name."""
        # By its full name: git also matches names that end with it.
        head = self.listed(f"refs/heads/{branch}").get(f"refs/heads/{branch}")
        if head:
            self.get([head])
        return head

    def listed(self, pattern: str) -> dict[str, str]:
        """The remote's refs by name. An annotated tag is listed as the tag object, not as its commit."""
        lines = self._over_network("ls-remote", "--refs", "--", self._remote, pattern).splitlines()
        return {name: found for found, name in (line.split("\t") for line in lines)}

    def get(self, objects: Iterable[str]) -> None:
        """Fetches commits or tags by id. Does not write FETCH_HEAD, so several processes can share one clone."""
        if wanted := [found for found in objects if not self._whole(found)]:
            self._over_network("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", self._remote, *wanted)

    def push(self, commit: str) -> None:
        """Pushes a commit to the branch. Raises Moved if the branch is no longer at the commit's parent."""
        self._push(self._branch, f"{commit}:refs/heads/{self._branch}")

    def push_branch(self, branch: str, commit: str, instead_of: str | None) -> None:
        """Creates a branch, or moves it from `instead_of`. Raises Moved if it is somewhere else."""
        lease = f"--force-with-lease=refs/heads/{branch}:{instead_of or ''}"
        self._push(branch, f"{commit}:refs/heads/{branch}", lease)

    def push_tag(self, name: str, commit: str, message: str) -> None:
        """Creates an annotated tag on the remote only. Raises Moved if the tag exists."""
        tagger = self("var", "GIT_COMMITTER_IDENT")
        tag = self("mktag", text=f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}\n")
        self._push(name, f"{tag}:refs/tags/{name}")

    def _push(self, name: str, refspec: str, *options: str) -> None:
        """Retries if the answer was lost: pushing the same refspec twice has the same result as pushing it once."""
        self._retrying()(self._push_once, name, "push", "--quiet", "--porcelain", *options, "--", self._remote, refspec)

    def _push_once(self, name: str, *command: str) -> None:
        done = self._try(*command)
        if done.returncode == 0:
            return
        printed = done.stdout + done.stderr
        refused = any(word in printed.lower() for word in REFUSALS)
        if any(word in printed for word in OVERTAKEN) or (not refused and ("rejected" in printed or "failed to update ref" in printed)):
            raise Moved
        if of_network(done.stderr):
            raise Unreachable(f"git push: {reason(printed)}")
        raise GitError(f"{redacted(self._remote)} refuses a push to {name}: {reason(printed)}")

    def _over_network(self, *arguments: str) -> str:
        return self._retrying()(self._once, *arguments)

    def _once(self, *arguments: str) -> str:
        done = self._try(*arguments)
        if done.returncode:
            why = f"git {arguments[0]}: {reason(done.stderr)}"
            raise Unreachable(why) if of_network(done.stderr) else GitError(why)
        return done.stdout.strip()

    def _retrying(self) -> Retrying:
        wait = wait_random_exponential(multiplier=self._pause, max=8 * self._pause)
        return Retrying(retry=retry_if_exception_type(Unreachable), stop=stop_after_attempt(TRIES), wait=wait, reraise=True)


def of_network(printed: str) -> bool:
    """Whether git's output reports a network failure. Then the remote refused nothing, and a retry may succeed."""
    ours = "\n".join(line for line in printed.splitlines() if not line.startswith(("remote:", "!")))
    return bool(NETWORK.search(ours)) and not ANSWERED.search(ours)
