"""Whether dev has run an image well for long enough: the cluster says so by commit statuses."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.promote.refused import Refused


@dataclass(frozen=True)
class Status:
    context: str
    state: str
    """success, failure, error or pending, as GitHub has them."""
    at: datetime


@dataclass(frozen=True)
class Soak:
    """`application`: what the cluster names itself by, as (a part of) the status's context: llm-api-dev. Under Flux its smoke test
    reports by itself, as llm-api-dev-smoke."""

    application: str
    time: timedelta
    statuses_of: Callable[[str], list[Status]]

    def require(self, commits: list[str], now: datetime) -> datetime:
        """`commits`: those that want the image, newest first. Gives since when it has been good.

        Raises Refused when the newest status is not a success, or when the successes since the last failure began too late.
        """
        since: datetime | None = None
        for commit, status in self._ended(commits):
            if status.state != "success":
                if since is None:
                    raise Refused(f"{self.application} says {status.state} of {commit[:12]}, {_ago(now - status.at)}: put it right first")
                break
            since = status.at
        if since is None:
            raise Refused(
                f"{self.application} has said nothing of the {len(commits)} commits that want this image: has the cluster synced it, "
                "and does it report commit statuses (clusters/dev/README.md)?"
            )
        if now - since < self.time:
            raise Refused(
                f"{self.application} is well since {_ago(now - since)}, and {_length(self.time)} is asked for: wait, or --soak less"
            )
        return since

    def _ended(self, commits: list[str]) -> Iterator[tuple[str, Status]]:
        """Newest first, without what is still pending."""
        ours = re.compile(rf"(^|/){re.escape(self.application)}(-smoke)?($|/)")
        found = [(commit, status) for commit in commits for status in self.statuses_of(commit) if ours.search(status.context)]
        ended = [(commit, status) for commit, status in found if status.state != "pending"]
        return iter(sorted(ended, key=lambda entry: entry[1].at, reverse=True))


def _ago(time: timedelta) -> str:
    return f"{_length(time)} ago"


def _length(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
