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
    revision: str
    """The branch, or the newest release tag; `no release yet` where there is none."""
    commit: str | None
    pin: ImagePin | None
    since: datetime | None


def pin_file(environment: str) -> str:
    return f"overlays/{environment}/kustomization.yaml"


def pin_at(git: Git, commit: str, environment: str) -> ImagePin:
    file = pin_file(environment)
    return read_pin(git.read(commit, file), file)


def tracked(git: Git, head: str, environment: str) -> str:
    """What Argo CD is told to sync, as clusters/ has it: a branch, or `1.*`."""
    source = yaml.safe_load(git.read(head, f"clusters/{environment}/argocd/source.yaml"))
    return str(source["data"]["revision"])


def wishes(git: Git) -> Iterator[Wish]:
    head = git.fetch()
    for environment in git("ls-tree", "--name-only", f"{head}:overlays").splitlines():
        yield _wish(git, head, environment)


def _wish(git: Git, head: str, environment: str) -> Wish:
    revision = tracked(git, head, environment)
    major = tracked_major(revision)
    if major is None:
        states = _branch(git, head, environment)
    else:
        tags = release_tags(git, major)
        if not tags:
            return Wish(environment, "no release yet", None, None, None)
        revision = str(tags[0].version)
        states = ((tag.commit, tag.made) for tag in tags)
    return _since(git, environment, revision, states)


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
