"""Pushes a branch whose only commit copies the image of dev to prod. Pushes nothing unless every gate passes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from delivery.environments import pin_at, pin_file, tracked
from delivery.errors import Refused
from delivery.git.release_tags import release_tags, tracked_major
from delivery.git.remote import Git, Moved
from delivery.overlay_image import ImagePin, write_pin
from delivery.promote.description import description
from delivery.promote.signature import require_signature
from delivery.promote.soak import Soak

COMMITS = 50  # the newest commits whose statuses are read


@dataclass(frozen=True)
class Promoted:
    branch: str
    title: str
    body: str
    since: datetime


@dataclass(frozen=True)
class Promotion:
    git: Git
    source: str
    target: str
    verify: str
    """The command that verifies the signature: signature.py."""
    soak: Soak
    kustomize: Path

    def run(self) -> Promoted | None:
        """Returns what was pushed; None if the target already has the image. Raises Refused, GitError, PinError or RenderError."""
        head = self.git.fetch()
        new, old = (pin_at(self.git, head, environment) for environment in (self.source, self.target))
        if new.placeholder or new.commit is None:
            raise Refused(f"overlays/{self.source} pins {new.tag!r}, which no bump has written: merge a change of the image first")
        if new == old:
            return None
        require_signature(new, self.verify)
        since = self.soak.require(self._wanting(head, new), datetime.now(UTC))
        title = f"{self.target}: promote {new.commit[:12]}"
        branch = f"promote/{new.commit[:12]}"
        last = self._own_tip(branch, head, new)
        made = self._commit(head, new, f"{title}\n\n{new.registry}:{new.tag}@{new.digest}\n")
        body = description(self.git, self._running(head), made, (old, new), f"overlays/{self.target}", self.kustomize)
        try:
            self.git.push_branch(branch, made, instead_of=last)
        except Moved:
            raise Refused(f"another push changed {branch} at the same time: check the branch, then run this again") from None
        return Promoted(branch, title, f"{body}\nHealthy in {self.source} since {since:%Y-%m-%d %H:%M} UTC.\n", since)

    def _commit(self, parent: str, pin: ImagePin, message: str) -> str:
        file = pin_file(self.target)
        return self.git.commit(parent, file, write_pin(self.git.read(parent, file), file, pin), message)

    def _own_tip(self, branch: str, head: str, pin: ImagePin) -> str | None:
        """The branch's commit, if the branch exists. Raises Refused if it has anything but one promotion of this image on top of main."""
        tip = self.git.fetch_branch(branch)
        if tip is None:
            return None
        parents = self.git("rev-list", "--parents", "--max-count=1", tip).split()[1:]
        if len(parents) == 1 and self.git.is_ancestor(parents[0], head):
            ours = self._commit(parents[0], pin, "compared with the branch, never pushed\n")
            if not self.git("diff-tree", "-r", "--name-only", ours, tip):
                return tip
        last = self.git("log", "-1", "--format=%h by %an", tip)
        raise Refused(f"{branch} has other commits ({last}) that would be lost: merge or delete the branch, then run this again")

    def _wanting(self, head: str, pin: ImagePin) -> list[str]:
        """The newest commits of the branch, back to the first that pins another image."""
        commits = self.git("log", "--first-parent", f"--max-count={COMMITS}", "--format=%H", head).splitlines()
        wanting = []
        for commit in commits:
            if pin_at(self.git, commit, self.source) != pin:
                break
            wanting.append(commit)
        return wanting

    def _running(self, head: str) -> str | None:
        """The commit that the target's cluster runs: the newest release, or the branch's head. None before the first release."""
        revision = tracked(self.git, head, self.target)
        major = tracked_major(revision) if revision else None
        if major is None:
            return head
        tags = release_tags(self.git, major)
        return tags[0].commit if tags else None
