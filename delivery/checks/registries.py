"""Looks up images, charts and actions in their registries and repositories, without credentials."""

import os
import subprocess
from collections.abc import Generator
from urllib.request import parse_http_list, parse_keqv_list

import httpx2
import yaml

from delivery.errors import DeliveryError

MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2")
)


class LookupFailed(DeliveryError):
    """The item that was not found, or the reason of the failed lookup."""


class Anonymous(httpx2.Auth):
    """Fetches the token that a registry gives to anonymous clients."""

    requires_response_body = True

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        response = yield request
        scheme, _, challenge = response.headers.get("www-authenticate", "").partition(" ")
        if response.status_code == 401 and scheme.lower() == "bearer":
            given = parse_keqv_list(parse_http_list(challenge))
            token = (yield httpx2.Request("GET", given.pop("realm"), params=given)).json()
            request.headers["authorization"] = f"Bearer {token.get('token') or token.get('access_token')}"
            yield request


class Registries:
    def __init__(self) -> None:
        self._client = httpx2.Client(auth=Anonymous(), follow_redirects=True, timeout=30)

    def digest(self, image: str, tag: str) -> str:
        """The digest of a tag. Raises LookupFailed."""
        url, name = _place(image)
        response = self._get("HEAD", f"{url}/v2/{name}/manifests/{tag}", {"accept": MANIFESTS})
        return str(response.headers.get("docker-content-digest", "without a digest"))

    def chart(self, repository: str, name: str, version: str) -> None:
        """Raises LookupFailed if the repository has no such version."""
        if repository.startswith("oci://"):
            self.digest(f"{repository.removeprefix('oci://')}/{name}", version)
            return
        index = yaml.safe_load(self._get("GET", f"{repository.rstrip('/')}/index.yaml", {}).text)
        versions = [entry["version"] for entry in index["entries"].get(name, [])]
        if version not in versions:
            raise LookupFailed(f"{repository} has no {name} {version}; the newest are {', '.join(versions[:3]) or 'none'}")

    def tag(self, repository: str, name: str) -> str:
        """The commit of a tag on GitHub. Uses git, because the API allows only 60 anonymous requests per hour. Raises LookupFailed."""
        url = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
        command = ["git", "ls-remote", url, f"refs/tags/{name}", f"refs/tags/{name}^{{}}"]
        quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise LookupFailed(f"{url} is unreachable: {done.stderr.strip()}")
        if not done.stdout:
            raise LookupFailed(f"{url} has no tag {name}")
        return done.stdout.splitlines()[-1].split()[0]  # the last line is the commit; an annotated tag comes before it

    def _get(self, method: str, url: str, headers: dict[str, str]) -> httpx2.Response:
        try:
            response = self._client.request(method, url, headers=headers)
        except httpx2.HTTPError as error:
            raise LookupFailed(f"{url} is unreachable: {error}") from error
        if response.status_code != 200:
            raise LookupFailed(f"{url} returned {response.status_code}")
        return response


def _place(image: str) -> tuple[str, str]:
    """The registry's URL and the image's name in it, by docker's rules."""
    host, slash, name = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return f"{'http' if host.startswith(('127.0.0.1', 'localhost')) else 'https'}://{host}", name
    return "https://registry-1.docker.io", image if slash else f"library/{image}"
