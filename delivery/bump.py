"""Writes the image that was built from a commit into an environment, on the branch that the cluster follows.

Ancestry decides, not the clock: builds end in any order, and an older one never overwrites a newer one.
"""

from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from delivery.git import Git, GitError, Moved
from delivery.image_pin import ImagePin, read_pin, write_pin

ATTEMPTS = 50  # others push too; each attempt takes a second at most, and only one of several can win


@dataclass(frozen=True)
class Bump:
    """`commit`: any name of it that git knows once the branch is fetched."""

    git: Git
    file: str
    image: str
    digest: str
    commit: str

    def run(self) -> str:
        """Says in one line what came of it. Raises GitError, or PinError for a digest or a file that is not what it must be."""
        retrying = Retrying(
            retry=retry_if_exception_type(Moved),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            reraise=True,
        )
        try:
            said: str = retrying(self._attempt)
        except Moved:
            raise GitError(f"the branch moved {ATTEMPTS} times while the bump was pushed: run it again") from None
        return said

    def _attempt(self) -> str:
        head = self.git.fetch()
        commit = self.git.commit_named(self.commit)
        pin = ImagePin.of_commit(self.image, commit, self.digest)
        text = self.git.read(head, self.file)
        current = read_pin(text, self.file)
        if not self.git.is_ancestor(commit, head):
            raise GitError(f"{commit[:12]} is not on the branch: only what was merged is delivered")
        if current == pin:
            return f"bumped already: {self.file} has {pin.tag}"
        if newer := self._newer(current.commit, commit, head):
            return f"superseded by {newer}: {self.file} stays"
        made = self.git.commit(head, self.file, write_pin(text, self.file, pin), self._message(pin, commit))
        self.git.push(made)
        return f"bumped {self.file} to {pin.tag} by {made[:12]}"

    def _newer(self, pinned: str | None, commit: str, head: str) -> str | None:
        """The commit that is pinned now, when it comes after ours. One that history lost, by a forced push, does not count."""
        if pinned is None or pinned == commit or not self.git.knows(pinned) or not self.git.is_ancestor(pinned, head):
            return None
        if self.git.is_ancestor(commit, pinned):
            return pinned
        if not self.git.is_ancestor(pinned, commit):
            raise GitError(f"{commit[:12]} and {pinned[:12]}, which is pinned, stand side by side: neither is the newer one")
        return None

    def _message(self, pin: ImagePin, commit: str) -> str:
        environment = self.file.split("/")[1]
        return f"{environment}: the image of {commit[:12]}\n\n{pin.registry}:{pin.tag}@{pin.digest}\n"
