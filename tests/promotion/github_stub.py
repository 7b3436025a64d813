"""A stub of GitHub's API: the commit statuses and pull requests of one repository. No test uses the real one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "org/llm-api"


class GitHubStub:
    def __init__(self) -> None:
        self.statuses: dict[str, list[dict[str, str]]] = {}
        self.pulls: list[dict[str, Any]] = []
        self.url = ""

    def add_status(self, commit: str, state: str, minutes_ago: float, context: str = "argocd/llm-api-dev") -> None:
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        entry = {"context": context, "state": state, "created_at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self.statuses.setdefault(commit, []).insert(0, entry)

    def answer(self, method: str, path: str, query: dict[str, list[str]], sent: Any) -> tuple[int, Any]:
        _, _, place = path.partition(f"/repos/{REPOSITORY}/")
        match method, place.split("/"):
            case "GET", ["commits", commit, "statuses"]:
                size, page = (int(query[name][0]) for name in ("per_page", "page"))
                return 200, self.statuses.get(commit, [])[(page - 1) * size : page * size]
            case "GET", ["pulls"]:
                return 200, [pull for pull in self.pulls if f"org:{pull['head']}" == query["head"][0]]
            case "POST", ["pulls"]:
                pull = sent | {"number": len(self.pulls) + 1, "html_url": f"https://github.com/{REPOSITORY}/pull/{len(self.pulls) + 1}"}
                self.pulls.append(pull)
                return 201, pull
            case "PATCH", ["pulls", number]:
                self.pulls[int(number) - 1].update(sent)
                return 200, self.pulls[int(number) - 1]
        return 404, {"message": "Not Found"}


@contextmanager
def serving(github: GitHubStub, token: str) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")
            url = urlsplit(self.path)
            status, said = github.answer(self.command, url.path, parse_qs(url.query), sent)
            if self.headers["authorization"] != f"Bearer {token}":
                status, said = 401, {"message": "Bad credentials"}
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PATCH(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        github.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
