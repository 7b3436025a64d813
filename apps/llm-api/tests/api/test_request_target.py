"""Paths and methods as clients, proxies and monitors send them."""

from collections.abc import Iterator

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, key_entry, running_server
from api.scripted_service import MODEL

from llm_api import __version__

GETTABLE = ["/livez", "/readyz", "/healthz", "/health", "/ping", "/version", "/metrics", "/docs", "/openapi.json", "/v1/models"]
KEY = {"authorization": "Bearer a-key"}


@pytest.fixture(scope="module")
def prefixed() -> Iterator[RunningServer]:
    """With keys, because paths decide what needs one."""
    with running_server(root_path="/llm", api_keys=key_entry("alice", "a-key"), max_queued_requests=0) as running:
        yield running


@pytest.mark.parametrize("path", [*GETTABLE, f"/v1/models/{MODEL}", "/docs/assets/favicon.png"])
def test_whatever_has_a_get_has_a_head(http: httpx2.Client, path: str) -> None:
    head, whole = http.head(path), http.get(path)
    assert (head.status_code, head.content, whole.status_code) == (200, b"", 200)
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_a_head_of_what_has_no_get_names_the_methods(http: httpx2.Client) -> None:
    assert (http.head(CHAT).status_code, http.head(CHAT).headers["allow"]) == (405, "POST")
    assert http.post("/v1/models").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", [f"{CHAT}/", f"/{CHAT}", "/v1//chat///completions//"])
def test_doubled_and_trailing_slashes_change_nothing(http: httpx2.Client, path: str) -> None:
    address = str(http.base_url).rstrip("/") + path
    assert http.post(address, json=chat_body()).json()["object"] == "chat.completion"


def test_the_docs_page_has_one_address(http: httpx2.Client) -> None:
    answer = http.get("/docs/")
    assert answer.url.join(answer.headers["location"]).path == "/docs"
    assert http.get("/docs/", follow_redirects=True).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/llm", "//llm/"])
def test_a_prefix_that_no_proxy_strips_is_the_same_service(prefixed: RunningServer, prefix: str) -> None:
    with prefixed.client() as http:
        assert http.get(f"{prefix}/healthz").status_code == 200
        assert http.get(f"{prefix}/v1/models").status_code == 401
        assert http.post(prefix + CHAT, json=chat_body(n=5), headers=KEY).json()["error"]["code"] == "too_many_sequences"
        assert http.post(prefix + CHAT, json=chat_body(), headers=KEY).status_code == 200
        assert http.get("/llmx/v1/models", headers=KEY).status_code == 404
        assert 'handler="/v1/models"' in http.get(f"{prefix}/metrics", headers=KEY).text


def test_docs_work_below_a_prefix(prefixed: RunningServer, http: httpx2.Client) -> None:
    with prefixed.client() as below:
        assert below.get("/llm/openapi.json").json()["servers"] == [{"url": "/llm"}]
    page = httpx2.URL("https://host/llm/docs")
    assert str(page.join("openapi.json")) == "https://host/llm/openapi.json"
    assert "url: 'openapi.json'" in http.get("/docs").text
    assert http.get("/openapi.json", headers={"x-forwarded-prefix": "/a/b/"}).json()["servers"] == [{"url": "/a/b"}]
    for other in ("//evil.example", "/a b", "javascript:x", ""):
        assert "servers" not in http.get("/openapi.json", headers={"x-forwarded-prefix": other}).json()


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/chat/completions", CHAT),
        ("/v1/v1/chat/completions", CHAT),
        ("/openai/deployments/gpt-4o/chat/completions", CHAT),
        ("/completions", "/v1/completions"),
        ("/models", "/v1/models"),
        ("/api/chat", CHAT),
        ("/api/v1/responses", "/v1/responses"),
    ],
)
def test_an_unknown_path_names_the_endpoint_to_use(http: httpx2.Client, path: str, endpoint: str) -> None:
    error = http.post(path, json=chat_body()).json()["error"]
    assert (error["code"], error["message"]) == ("unknown_url", f"This path does not exist; use {endpoint}.")


def test_a_path_like_none_names_the_docs(http: httpx2.Client) -> None:
    assert http.get("/nothing").json()["error"]["message"] == "This path does not exist; /docs lists the paths."


def test_the_version_is_public(prefixed: RunningServer) -> None:
    with prefixed.client() as http:
        assert http.get("/version").json() == {"version": __version__}
