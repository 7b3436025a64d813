"""Writes the image that was built from a commit into an overlay, on the branch that the cluster tracks.

Builds finish in any order. Ancestry decides which image is newer, so an older one never overwrites a newer one.
"""

from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from delivery.git.clone import GitError
from delivery.git.remote import Git, Moved
from delivery.overlay_image import ImagePin, read_pin, write_pin

ATTEMPTS = 50  # of several concurrent pushes only one succeeds; an attempt takes at most a second


@dataclass(frozen=True)
class Bump:
    """`commit`: any name that git resolves once the branch is fetched."""

    git: Git
    file: str
    image: str
    digest: str
    commit: str

    def run(self) -> str:
        """Returns the outcome in one line. Raises GitError, or PinError for an invalid digest or kustomization."""
        retrying = Retrying(
            retry=retry_if_exception_type(Moved),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            reraise=True,
        )
        try:
            outcome: str = retrying(self._attempt)
        except Moved:
            raise GitError(f"the branch moved during each of {ATTEMPTS} attempts to push the bump: run it again") from None
        return outcome

    def _attempt(self) -> str:
        head = self.git.fetch()
        commit = self.git.commit_named(self.commit)
        pin = ImagePin.of_commit(self.image, commit, self.digest)
        text = self.git.read(head, self.file)
        current = read_pin(text, self.file)
        if not self.git.is_ancestor(commit, head):
            raise GitError(f"{commit[:12]} is not on the branch: only merged commits are delivered")
        if current == pin:
            return f"already bumped: {self.file} has {pin.tag}"
        if newer := self._newer(current.commit, commit, head):
            return f"superseded by {newer}: {self.file} is unchanged"
        made = self.git.commit(head, self.file, write_pin(text, self.file, pin), self._message(pin, commit))
        self.git.push(made)
        return f"bumped {self.file} to {pin.tag} by {made[:12]}"

    def _newer(self, pinned: str | None, commit: str, head: str) -> str | None:
        """The pinned commit, if it is newer than ours. A commit that a forced push removed from the branch does not count."""
        if pinned is None or pinned == commit or not self.git.knows(pinned) or not self.git.is_ancestor(pinned, head):
            return None
        if self.git.is_ancestor(commit, pinned):
            return pinned
        if not self.git.is_ancestor(pinned, commit):
            raise GitError(f"{commit[:12]} and the pinned {pinned[:12]} are on different branches: neither is newer")
        return None

    def _message(self, pin: ImagePin, commit: str) -> str:
        environment = self.file.split("/")[1]
        return f"{environment}: bump to {commit[:12]}\n\n{pin.registry}:{pin.tag}@{pin.digest}\n"
