"""GitHub's API: commit statuses and pull requests. Configured by the environment variables of GitHub Actions."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

import httpx2

from delivery.errors import Refused
from delivery.promote.soak import Status

PAGE = 100  # GitHub's maximum


@dataclass(frozen=True)
class GitHub:
    repository: str
    token: str
    api: str = "https://api.github.com"

    @classmethod
    def of_environment(cls) -> "GitHub":
        """Raises Refused."""
        missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
        if missing:
            raise Refused(f"{' and '.join(missing)} must be set: promote reads statuses and opens a pull request (gh auth token)")
        return cls(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"], os.environ.get("GITHUB_API_URL") or cls.api)

    def statuses(self, commit: str) -> list[Status]:
        """All statuses of a commit, newest first. Raises Refused."""
        found = self._all(f"commits/{commit}/statuses")
        return [Status(entry["context"], entry["state"], datetime.fromisoformat(entry["created_at"])) for entry in found]

    def open_pull_request(self, branch: str, base: str, title: str, body: str) -> str:
        """Opens a pull request, or updates the open one of this branch. Returns its URL. Raises Refused."""
        owner = self.repository.partition("/")[0]
        text = {"title": title, "body": body}
        is_open = self._ask("GET", "pulls", params={"head": f"{owner}:{branch}", "base": base, "state": "open"})
        if is_open:
            return str(self._ask("PATCH", f"pulls/{is_open[0]['number']}", json=text)["html_url"])
        return str(self._ask("POST", "pulls", json={**text, "head": branch, "base": base})["html_url"])

    def _all(self, path: str) -> Iterator[Any]:
        for page in count(1):
            found = self._ask("GET", path, params={"per_page": PAGE, "page": page})
            yield from found
            if len(found) < PAGE:
                return

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        headers = {"authorization": f"Bearer {self.token}", "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
        transport = httpx2.HTTPTransport(retries=3)
        try:
            with httpx2.Client(transport=transport, timeout=30) as client:
                response = client.request(method, f"{self.api}/repos/{self.repository}/{path}", headers=headers, **what)
        except httpx2.HTTPError as error:
            raise Refused(f"{self.api} is unreachable: {error}") from error
        if not response.is_success:
            raise Refused(f"GitHub returned {response.status_code} for {method} {path}: {_message(response)}")
        return response.json()


def _message(response: httpx2.Response) -> str:
    try:
        return str(response.json().get("message", ""))
    except ValueError:
        return response.text[:200]
