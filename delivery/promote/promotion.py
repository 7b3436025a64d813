"""A branch on main whose one commit pins in prod what dev has; nothing is pushed unless every gate is passed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from delivery.environments import pin_at, pin_file, tracked
from delivery.git import Git, Moved
from delivery.image_pin import ImagePin, write_pin
from delivery.promote.description import description
from delivery.promote.refused import Refused
from delivery.promote.signature import require_signature
from delivery.promote.soak import Soak
from delivery.tags import release_tags, tracked_major

COMMITS = 50  # that wanted the image are asked for statuses, newest first


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
    """The command that verifies a signature (signature.py)."""
    soak: Soak
    kustomize: Path

    def run(self) -> Promoted | None:
        """Gives what was pushed; None when the target has the image already. Raises Refused, GitError, PinError or RenderError."""
        head = self.git.fetch()
        new, old = (pin_at(self.git, head, environment) for environment in (self.source, self.target))
        if new.placeholder or new.commit is None:
            raise Refused(f"overlays/{self.source} pins {new.tag!r}, which no bump has written: merge something first")
        if new == old:
            return None
        require_signature(new, self.verify)
        since = self.soak.require(self._wanting(head, new), datetime.now(UTC))
        title = f"{self.target}: promote {new.commit[:12]}"
        branch = f"promote/{new.commit[:12]}"
        last = self._ours(branch, head, new)
        made = self._commit(head, new, f"{title}\n\n{new.registry}:{new.tag}@{new.digest}\n")
        body = description(self.git, self._running(head), made, (old, new), f"overlays/{self.target}", self.kustomize)
        try:
            self.git.push_branch(branch, made, instead_of=last)
        except Moved:
            raise Refused(f"somebody pushed to {branch} meanwhile: look at it, and run this again") from None
        return Promoted(branch, title, f"{body}\nWell in {self.source} since {since:%Y-%m-%d %H:%M} UTC.\n", since)

    def _commit(self, parent: str, pin: ImagePin, message: str) -> str:
        file = pin_file(self.target)
        return self.git.commit(parent, file, write_pin(self.git.read(parent, file), file, pin), message)

    def _ours(self, branch: str, head: str, pin: ImagePin) -> str | None:
        """Where the branch is, if it is there. Raises Refused when it holds anything but one promotion of this image, made on main."""
        tip = self.git.fetch_branch(branch)
        if tip is None:
            return None
        parents = self.git("rev-list", "--parents", "--max-count=1", tip).split()[1:]
        if len(parents) == 1 and self.git.is_ancestor(parents[0], head):
            ours = self._commit(parents[0], pin, "compared with the branch, and never pushed\n")
            if not self.git("diff-tree", "-r", "--name-only", ours, tip):
                return tip
        last = self.git("log", "-1", "--format=%h by %an", tip)
        raise Refused(f"{branch} has commits of others ({last}), which would be lost: merge it, or delete the branch, and run this again")

    def _wanting(self, head: str, pin: ImagePin) -> list[str]:
        """The newest commits of the branch, for as long as all of them pin this."""
        commits = self.git("log", "--first-parent", f"--max-count={COMMITS}", "--format=%H", head).splitlines()
        wanting = []
        for commit in commits:
            if pin_at(self.git, commit, self.source) != pin:
                break
            wanting.append(commit)
        return wanting

    def _running(self, head: str) -> str | None:
        """The commit that the target's cluster has: its newest release, or the branch itself; None before the first release."""
        revision = tracked(self.git, head, self.target)
        major = tracked_major(revision) if revision else None
        if major is None:
            return head
        tags = release_tags(self.git, major)
        return tags[0].commit if tags else None
