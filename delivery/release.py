"""Tags a promotion on main as a release, which is what the cluster of prod tracks.

The tag goes on the promotion's own commit, so a release has the manifests that were reviewed with it and nothing newer.
Releases may run in any order, so ancestry decides: a commit older than a release, or than what main pins now, is not tagged.
"""

from dataclasses import dataclass
from itertools import pairwise

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from delivery.environments import pin_at, pin_file, tracked
from delivery.git.clone import GitError
from delivery.git.release_tags import Tag, Version, release_tags, tracked_major
from delivery.git.remote import Git, Moved
from delivery.overlay_image import ImagePin
from delivery.promote.signature import require_signature


@dataclass(frozen=True)
class Release:
    git: Git
    verify: str
    """The command that verifies the signature: promote/signature.py."""
    commit: str = ""
    """A commit of main; empty means its head. The newest promotion up to it is released; with `same_image` the commit itself."""
    environment: str = "prod"
    same_image: bool = False
    """Also tag changed manifests with an unchanged image."""

    def run(self) -> str:
        """Returns the outcome in one line. Raises GitError, PinError or Refused."""
        if self.same_image and not self.commit:
            raise GitError("--same-image needs the commit of main to release: --same-image --commit COMMIT")
        retrying = Retrying(retry=retry_if_exception_type(Moved), stop=stop_after_attempt(10), wait=wait_random(0, 0.3), reraise=True)
        try:
            return retrying(self._attempt)
        except Moved:
            raise GitError("other releases took the tag ten times: try again") from None

    def _attempt(self) -> str:
        head = self.git.fetch()
        major = self._major(head)
        line = self.git("rev-list", "--first-parent", head).splitlines()
        asked = self._asked(line)
        promotion = self._promotion(asked)
        commit = asked if self.same_image else promotion
        pin, tags = pin_at(self.git, commit, self.environment), release_tags(self.git, major)
        if done := next((tag for tag in tags if tag.commit == commit), None):
            return f"already released: {done.version} is {commit[:12]}"
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
            raise GitError(f"no cluster syncs overlays/{self.environment}: clusters/{self.environment} does not exist")
        major = tracked_major(revision)
        if major is None:
            raise GitError(f"clusters/{self.environment} tracks {revision!r} and not release tags such as 1.*: a tag would release nothing")
        return major

    def _asked(self, line: list[str]) -> str:
        """`line`: main's first-parent commits, newest first."""
        asked = self.git.commit_named(self.commit) if self.commit else line[0]
        if asked not in line:
            raise GitError(f"{asked[:12]} is not on main's first-parent line: only merge results are released")
        return asked

    def _promotion(self, upto: str) -> str:
        """The newest commit that changed the environment's pin. A rollback counts too."""
        touching = self.git("log", "--first-parent", "--format=%H", upto, "--", pin_file(self.environment)).splitlines()
        if not touching:
            raise GitError(f"{upto[:12]} has no {pin_file(self.environment)}")
        for commit, before in pairwise(touching):
            if pin_at(self.git, commit, self.environment) != pin_at(self.git, before, self.environment):
                return commit
        return touching[-1]

    def _newer(self, commit: str, promotion: str, line: list[str], tags: list[Tag]) -> str | None:
        """The release that contains this commit, or the newer promotion on main."""
        until = set(line[line.index(commit) :])
        for tag in tags:
            if tag.commit not in until and self.git.is_ancestor(commit, tag.commit):
                return str(tag.version)
        now = self._promotion(line[0])
        return None if now == promotion else f"{now[:12]}, which pins another image on main"

    def _tag(self, version: Version, commit: str, pin: ImagePin) -> str:
        self.git.push_tag(str(version), commit, f"{self.environment}: {pin.registry}:{pin.tag}@{pin.digest}")
        return f"released {version}: {commit[:12]} with {pin.tag}"
