"""The desired image of each environment: the one that its overlay pins at the revision that its cluster tracks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from delivery.git.release_tags import release_tags, tracked_major
from delivery.git.remote import Git
from delivery.overlay_image import ImagePin, read_pin


@dataclass(frozen=True)
class DesiredImage:
    environment: str
    revision: str | None
    """The tracked branch or the newest release tag; `no release yet` without one; None if no cluster syncs the overlay."""
    commit: str | None
    pin: ImagePin | None
    since: datetime | None

    @property
    def image(self) -> str:
        if self.revision is None:
            return "not synced by any cluster"
        return f"{self.pin.registry}:{self.pin.tag}@{self.pin.digest}" if self.pin and not self.pin.placeholder else "no image yet"


def pin_file(environment: str) -> str:
    return f"overlays/{environment}/kustomization.yaml"


def pin_at(git: Git, commit: str, environment: str) -> ImagePin:
    file = pin_file(environment)
    return read_pin(git.read(commit, file), file)


def tracked(git: Git, head: str, environment: str) -> str | None:
    """The revision that clusters/ tracks for the environment: a branch, or `1.*`. None if no cluster syncs it.

    If both controllers are configured, Argo CD's revision counts.
    """
    there = git("ls-tree", "-r", "--name-only", head, "--", f"clusters/{environment}/").splitlines()
    if (argocd := f"clusters/{environment}/argocd/source.yaml") in there:
        return str(yaml.safe_load(git.read(head, argocd))["data"]["revision"])
    if (flux := f"clusters/{environment}/flux/gitrepository.yaml") in there:
        ref = yaml.safe_load(git.read(head, flux))["spec"]["ref"]
        return str(ref.get("semver") or ref["branch"])
    return None


def desired_images(git: Git) -> Iterator[DesiredImage]:
    head = git.fetch()
    for environment in git("ls-tree", "-d", "--name-only", f"{head}:overlays").splitlines():
        yield _desired(git, head, environment)


def _desired(git: Git, head: str, environment: str) -> DesiredImage:
    revision = tracked(git, head, environment)
    if revision is None:
        return DesiredImage(environment, None, None, None, None)
    major = tracked_major(revision)
    if major is None:
        return _since(git, environment, revision, _branch(git, head, environment))
    tags = release_tags(git, major)
    if not tags:
        return DesiredImage(environment, "no release yet", None, None, None)
    return _since(git, environment, str(tags[0].version), ((tag.commit, tag.made) for tag in tags))


def _branch(git: Git, head: str, environment: str) -> Iterator[tuple[str, datetime]]:
    """Each commit that changed the file with the pin, newest first, with its time."""
    for line in git("log", "--first-parent", "--format=%H %ct", head, "--", pin_file(environment)).splitlines():
        commit, at = line.split()
        yield commit, datetime.fromtimestamp(int(at), UTC)


def _since(git: Git, environment: str, revision: str, states: Iterator[tuple[str, datetime]]) -> DesiredImage:
    """The newest pin, with the time since when every state has had it."""
    wanted, since = next(states)
    pin = pin_at(git, wanted, environment)
    for commit, at in states:
        if pin_at(git, commit, environment) != pin:
            break
        since = at
    return DesiredImage(environment, revision, wanted, pin, since)
