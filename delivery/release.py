"""A release is a tag of main that changes prod's image: what prod's cluster tracks."""

from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from delivery.environments import pin_at, tracked
from delivery.git import Git, GitError, Moved
from delivery.tags import Version, release_tags, tracked_major


@dataclass(frozen=True)
class Release:
    git: Git
    environment: str = "prod"
    same_image: bool = False
    """Tags manifests that changed while the image stayed, too."""

    def run(self) -> str:
        """Says in one line what came of it. Raises GitError or PinError."""
        retrying = Retrying(retry=retry_if_exception_type(Moved), stop=stop_after_attempt(10), wait=wait_random(0, 0.3), reraise=True)
        try:
            return retrying(self._attempt)
        except Moved:
            raise GitError("others made this release's tag ten times: try again") from None

    def _attempt(self) -> str:
        head = self.git.fetch()
        revision = tracked(self.git, head, self.environment)
        major = tracked_major(revision)
        if major is None:
            raise GitError(f"clusters/{self.environment} tracks {revision!r}, not release tags such as 1.*: nothing is released by a tag")
        pin = pin_at(self.git, head, self.environment)
        if pin.placeholder:
            raise GitError(f"overlays/{self.environment} pins the placeholder {pin.tag}: promote an image first")
        tags = release_tags(self.git, major)
        if tags and tags[0].commit == head:
            return f"released already: {tags[0].version} is {head[:12]}"
        if tags and pin_at(self.git, tags[0].commit, self.environment) == pin and not self.same_image:
            return f"nothing to release: {tags[0].version} has {pin.tag} already (--same-image releases changed manifests)"
        version = tags[0].version.next() if tags else Version(major, 0, 0)
        self.git.push_tag(str(version), head, f"{self.environment}: {pin.registry}:{pin.tag}@{pin.digest}")
        return f"released {version}: {head[:12]} with {pin.tag}"
