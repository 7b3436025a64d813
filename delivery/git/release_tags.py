"""Release tags such as 1.4.0, without a prefix. The cluster of prod tracks them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from delivery.git.remote import Git

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_TAGGER = re.compile(r"^tagger .* (\d+) [+-]\d{4}$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def next(self) -> "Version":
        return Version(self.major, self.minor + 1, 0)


@dataclass(frozen=True)
class Tag:
    version: Version
    commit: str
    made: datetime


def release_tags(git: Git, major: int) -> list[Tag]:
    """The remote's release tags of one major version, newest first."""
    objects = {name.removeprefix("refs/tags/"): found for name, found in git.listed("refs/tags/*").items()}
    names = {name: Version(*map(int, found.groups())) for name in objects if (found := _VERSION.fullmatch(name))}
    kept = {name: version for name, version in names.items() if version.major == major}
    git.get(objects[name] for name in kept)
    return sorted((_tag(git, version, objects[name]) for name, version in kept.items()), key=lambda tag: tag.version, reverse=True)


def tracked_major(revision: str) -> int | None:
    """The major version of `1.*` (Argo CD) or `1.x` (Flux); None for a branch."""
    found = re.fullmatch(r"(\d+)\.[*x]", revision)
    return int(found[1]) if found else None


def _tag(git: Git, version: Version, found: str) -> Tag:
    commit = git.commit_named(found)
    tagger = _TAGGER.search(git("cat-file", "-p", found)) if found != commit else None
    made = tagger[1] if tagger else git("log", "-1", "--format=%ct", commit)
    return Tag(version, commit, datetime.fromtimestamp(int(made), UTC))
