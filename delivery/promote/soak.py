"""Checks that dev has been healthy with an image for long enough. The cluster reports that as commit statuses."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.errors import Refused


@dataclass(frozen=True)
class Status:
    context: str
    state: str
    """success, failure, error or pending, as in GitHub's API."""
    at: datetime


@dataclass(frozen=True)
class Soak:
    """`application`: the name in the status's context, such as llm-api-dev. Flux reports the smoke test separately, as
    llm-api-dev-smoke; that counts too."""

    application: str
    time: timedelta
    statuses_of: Callable[[str], list[Status]]

    def require(self, commits: list[str], now: datetime) -> datetime:
        """Returns since when the image has been healthy. `commits`: those that pin the image, newest first.

        Raises Refused if the newest status is not a success, or if the first success since the last failure is too recent.
        """
        since: datetime | None = None
        for commit, status in self._ended(commits):
            if status.state != "success":
                if since is None:
                    raise Refused(f"{self.application} reported {status.state} for {commit[:12]} {_ago(now - status.at)}: fix that first")
                break
            since = status.at
        if since is None:
            raise Refused(
                f"{self.application} has reported no status for the {len(commits)} commits that pin this image: check that the cluster "
                "has synced it and reports commit statuses (clusters/dev/README.md)"
            )
        if now - since < self.time:
            raise Refused(
                f"{self.application} has been healthy for {_length(now - since)}, less than {_length(self.time)}: wait, or shorten --soak"
            )
        return since

    def _ended(self, commits: list[str]) -> Iterator[tuple[str, Status]]:
        """Finished statuses, newest first."""
        ours = re.compile(rf"(^|/){re.escape(self.application)}(-smoke)?($|/)")
        found = [(commit, status) for commit in commits for status in self.statuses_of(commit) if ours.search(status.context)]
        ended = [(commit, status) for commit, status in found if status.state != "pending"]
        return iter(sorted(ended, key=lambda entry: entry[1].at, reverse=True))


def _ago(time: timedelta) -> str:
    return f"{_length(time)} ago"


def _length(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
