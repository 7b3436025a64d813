"""The endpoints of the hub that a model download uses, on a file server."""

import hashlib
import json
from dataclasses import dataclass, field

from weights.file_server import FileServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubRepo:
    server: FileServer
    name: str
    revision: str = "main"
    commit: str = COMMIT
    files: dict[str, bytes] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()  # files that the hub lists with a wrong sha256

    def publish(self) -> None:
        about = {"id": self.name, "modelId": self.name, "sha": self.commit, "private": False, "tags": [], "downloads": 0, "likes": 0}
        for revision in (self.revision, self.commit):
            self._json(f"/api/models/{self.name}/revision/{revision}", about | {"siblings": []})
        tree = [self._entry(path, content) for path, content in self.files.items()]
        self._json(f"/api/models/{self.name}/tree/{self.commit}", tree)
        for path, content in self.files.items():
            url = f"/{self.name}/resolve/{self.commit}/{path}"
            self.server.files[url] = content
            self.server.headers[url] = {"etag": f'"{_sha256(content)}"', "x-repo-commit": self.commit}

    def refuse(self, status: int, code: str) -> None:
        for path in (f"/api/models/{self.name}/revision/{self.revision}", f"/api/models/{self.name}/tree/{self.commit}"):
            self.server.statuses[path] = status
            self.server.headers[path] = {"x-error-code": code}

    def has_request_for(self, name: str) -> bool:
        return any(request.path.endswith(f"/{name}") for request in self.server.requests)

    def _entry(self, path: str, content: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}  # noqa: S324
        if path.endswith((".safetensors", ".gguf", ".bin")):
            stated = "0" * 64 if path in self.wrong else _sha256(content)
            entry["lfs"] = {"oid": stated, "size": len(content), "pointerSize": 130}
        return entry

    def _json(self, path: str, content: object) -> None:
        self.server.files[path] = json.dumps(content).encode()
        self.server.headers[path] = {"content-type": "application/json"}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
