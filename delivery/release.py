"""A release is a tag of main that changes prod's image: what prod's cluster tracks.

What is tagged is the promotion's own commit, whatever main has by now: the manifests that were reviewed with it, and nothing newer.
Releases may run in any order, so ancestry decides: nothing is tagged that is older than a release, or than what main pins by now.
"""

from dataclasses import dataclass
from itertools import pairwise

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from delivery.environments import pin_at, pin_file, tracked
from delivery.git import Git, GitError, Moved
from delivery.image_pin import ImagePin
from delivery.promote.signature import require_signature
from delivery.tags import Tag, Version, release_tags, tracked_major


@dataclass(frozen=True)
class Release:
    git: Git
    verify: str
    """The command that verifies a signature (promote/signature.py)."""
    commit: str = ""
    """On main: the newest promotion up to it is released, by default up to main's head. With `same_image` it is released itself."""
    environment: str = "prod"
    same_image: bool = False
    """Tags manifests that changed while the image stayed, too."""

    def run(self) -> str:
        """Says in one line what came of it. Raises GitError, PinError or Refused."""
        if self.same_image and not self.commit:
            raise GitError("which manifests? Name the commit of main that is to be released: --same-image --commit COMMIT")
        retrying = Retrying(retry=retry_if_exception_type(Moved), stop=stop_after_attempt(10), wait=wait_random(0, 0.3), reraise=True)
        try:
            return retrying(self._attempt)
        except Moved:
            raise GitError("others made this release's tag ten times: try again") from None

    def _attempt(self) -> str:
        head = self.git.fetch()
        major = self._major(head)
        line = self.git("rev-list", "--first-parent", head).splitlines()
        asked = self._asked(line)
        promotion = self._promotion(asked)
        commit = asked if self.same_image else promotion
        pin, tags = pin_at(self.git, commit, self.environment), release_tags(self.git, major)
        if done := next((tag for tag in tags if tag.commit == commit), None):
            return f"released already: {done.version} is {commit[:12]}"
        if newer := self._newer(commit, promotion, line, tags):
            return f"superseded by {newer}: {commit[:12]} is not tagged"
        if pin.placeholder:
            raise GitError(f"overlays/{self.environment} pins the placeholder {pin.tag}: promote an image first")
        if tags and pin_at(self.git, tags[0].commit, self.environment) == pin and not self.same_image:
            return f"nothing to release: {tags[0].version} has {pin.tag} already (--same-image releases changed manifests)"
        require_signature(pin, self.verify)
        return self._tag(tags[0].version.next() if tags else Version(major, 0, 0), commit, pin)

    def _major(self, head: str) -> int:
        revision = tracked(self.git, head, self.environment)
        if revision is None:
            raise GitError(f"no cluster syncs overlays/{self.environment}: there is no clusters/{self.environment}")
        major = tracked_major(revision)
        if major is None:
            raise GitError(f"clusters/{self.environment} tracks {revision!r}, not release tags such as 1.*: nothing is released by a tag")
        return major

    def _asked(self, line: list[str]) -> str:
        """`line`: main's commits by first parent, newest first."""
        asked = self.git.commit_named(self.commit) if self.commit else line[0]
        if asked not in line:
            raise GitError(f"{asked[:12]} is not on main's first-parent line: only what was merged is released, as it was merged")
        return asked

    def _promotion(self, upto: str) -> str:
        """The newest commit that changed what the environment pins, a rollback as well."""
        touching = self.git("log", "--first-parent", "--format=%H", upto, "--", pin_file(self.environment)).splitlines()
        if not touching:
            raise GitError(f"{upto[:12]} has no {pin_file(self.environment)}")
        for commit, before in pairwise(touching):
            if pin_at(self.git, commit, self.environment) != pin_at(self.git, before, self.environment):
                return commit
        return touching[-1]

    def _newer(self, commit: str, promotion: str, line: list[str], tags: list[Tag]) -> str | None:
        """The release that has this commit in it, or the promotion that main has since."""
        until = set(line[line.index(commit) :])
        for tag in tags:
            if tag.commit not in until and self.git.is_ancestor(commit, tag.commit):
                return str(tag.version)
        now = self._promotion(line[0])
        return None if now == promotion else f"{now[:12]}, by which main pins something else"

    def _tag(self, version: Version, commit: str, pin: ImagePin) -> str:
        self.git.push_tag(str(version), commit, f"{self.environment}: {pin.registry}:{pin.tag}@{pin.digest}")
        return f"released {version}: {commit[:12]} with {pin.tag}"
