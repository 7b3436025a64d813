"""A clone and its remote: what it gets from there, and what it pushes. Nothing here moves a branch of the clone."""

from collections.abc import Iterable
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from delivery.clone import Clone, GitError, no_option
from delivery.git_messages import of_network, reason, redacted

__all__ = ["Git", "GitError", "Moved", "Unreachable"]

REFUSALS = ("protected", "pre-receive", "hook declined", "read-only", "permission", "denied", "not allowed", "could not read", "unable to")
OVERTAKEN = ("cannot lock ref", "fetch first", "non-fast-forward", "already exists", "stale info")
TRIES = 5  # of a remote that is not reached


class Unreachable(GitError):
    """The remote was not reached, or broke off."""


class Moved(Exception):
    """Somebody else pushed first: fetch and decide anew."""


class Git(Clone):
    """`pause`: seconds after a remote was not reached, at random and doubled each time, so that an outage of some seconds is sat out."""

    def __init__(self, folder: Path, remote: str, branch: str, pause: float = 1.0) -> None:
        super().__init__(folder)
        self._remote, self._branch, self._pause = no_option("remote", remote), no_option("branch", branch), pause

    def fetch(self) -> str:
        """Gets the branch as the remote has it now. Gives its commit."""
        if self("rev-parse", "--is-shallow-repository") == "true":
            raise GitError("this clone is shallow, and ancestry decides: clone the whole history (actions/checkout: fetch-depth: 0)")
        head = self.fetch_branch(self._branch)
        if head is None:
            raise GitError(f"{redacted(self._remote)} has no branch {self._branch}")
        return head

    def fetch_branch(self, branch: str) -> str | None:
        """Gets a branch, and gives its commit; None where the remote has none of this name."""
        head = self.listed(f"refs/heads/{branch}").get(f"refs/heads/{branch}")  # git takes the name for the end of one, too
        if head:
            self.get([head])
        return head

    def listed(self, pattern: str) -> dict[str, str]:
        """The remote's refs, by name; tags as such, not what they point to."""
        lines = self._over_network("ls-remote", "--refs", "--", self._remote, pattern).splitlines()
        return {name: found for found, name in (line.split("\t") for line in lines)}

    def get(self, objects: Iterable[str]) -> None:
        """Gets commits or tags by their ids, without FETCH_HEAD: several deliveries in one clone do not disturb each other."""
        if wanted := [found for found in objects if not self._whole(found)]:
            self._over_network("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", self._remote, *wanted)

    def push(self, commit: str) -> None:
        """Raises Moved when the branch is not at the commit's parent any more."""
        self._push(self._branch, f"{commit}:refs/heads/{self._branch}")

    def push_branch(self, branch: str, commit: str, instead_of: str | None) -> None:
        """Makes a branch, or moves it from where it was. Raises Moved when it is elsewhere by now."""
        lease = f"--force-with-lease=refs/heads/{branch}:{instead_of or ''}"
        self._push(branch, f"{commit}:refs/heads/{branch}", lease)

    def push_tag(self, name: str, commit: str, message: str) -> None:
        """Makes an annotated tag, on the remote alone. Raises Moved when there is one of this name."""
        tagger = self("var", "GIT_COMMITTER_IDENT")
        tag = self("mktag", text=f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}\n")
        self._push(name, f"{tag}:refs/tags/{name}")

    def _push(self, name: str, refspec: str, *options: str) -> None:
        """Again, where the answer was lost: what the remote has already is up to date, so a second push is as good as the first."""
        self._retrying()(self._push_once, name, "push", "--quiet", "--porcelain", *options, "--", self._remote, refspec)

    def _push_once(self, name: str, *command: str) -> None:
        done = self._try(*command)
        if done.returncode == 0:
            return
        told = done.stdout + done.stderr
        refused = any(word in told.lower() for word in REFUSALS)
        if any(word in told for word in OVERTAKEN) or (not refused and ("rejected" in told or "failed to update ref" in told)):
            raise Moved
        if of_network(done.stderr):
            raise Unreachable(f"git push: {reason(told)}")
        raise GitError(f"{redacted(self._remote)} refuses a push to {name}: {reason(told)}")

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
