"""What each environment wants: the image that its overlay pins at the revision that its cluster tracks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from delivery.git import Git
from delivery.image_pin import ImagePin, read_pin
from delivery.tags import release_tags, tracked_major


@dataclass(frozen=True)
class Wish:
    environment: str
    revision: str | None
    """The branch, or the newest release tag; `no release yet` where there is none; None where no cluster syncs it."""
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
    """What the environment's cluster is told to sync, as clusters/ has it: a branch, or `1.*`. None where no cluster syncs it.

    Argo CD's word counts where both controllers have one.
    """
    there = git("ls-tree", "-r", "--name-only", head, "--", f"clusters/{environment}/").splitlines()
    if (argocd := f"clusters/{environment}/argocd/source.yaml") in there:
        return str(yaml.safe_load(git.read(head, argocd))["data"]["revision"])
    if (flux := f"clusters/{environment}/flux/gitrepository.yaml") in there:
        ref = yaml.safe_load(git.read(head, flux))["spec"]["ref"]
        return str(ref.get("semver") or ref["branch"])
    return None


def wishes(git: Git) -> Iterator[Wish]:
    head = git.fetch()
    for environment in git("ls-tree", "-d", "--name-only", f"{head}:overlays").splitlines():
        yield _wish(git, head, environment)


def _wish(git: Git, head: str, environment: str) -> Wish:
    revision = tracked(git, head, environment)
    if revision is None:
        return Wish(environment, None, None, None, None)
    major = tracked_major(revision)
    if major is None:
        return _since(git, environment, revision, _branch(git, head, environment))
    tags = release_tags(git, major)
    if not tags:
        return Wish(environment, "no release yet", None, None, None)
    return _since(git, environment, str(tags[0].version), ((tag.commit, tag.made) for tag in tags))


def _branch(git: Git, head: str, environment: str) -> Iterator[tuple[str, datetime]]:
    """Each commit that touched the pin's file, newest first, and when."""
    for line in git("log", "--first-parent", "--format=%H %ct", head, "--", pin_file(environment)).splitlines():
        commit, at = line.split()
        yield commit, datetime.fromtimestamp(int(at), UTC)


def _since(git: Git, environment: str, revision: str, states: Iterator[tuple[str, datetime]]) -> Wish:
    """The oldest state, without a gap, that pins what the newest pins."""
    wanted, since = next(states)
    pin = pin_at(git, wanted, environment)
    for commit, at in states:
        if pin_at(git, commit, environment) != pin:
            break
        since = at
    return Wish(environment, revision, wanted, pin, since)
