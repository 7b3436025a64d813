import httpx2
import pytest
from api.running_server import RunningServer
from api.scripted_service import MODEL


@pytest.mark.parametrize("path", ["/v1/models", "/nowhere", "/healthz"])
def test_a_request_id_is_returned(http: httpx2.Client, path: str) -> None:
    assert http.get(path, headers={"x-request-id": "client-id.1"}).headers["x-request-id"] == "client-id.1"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "é", "<script>", 'a"b'])
def test_a_malformed_request_id_is_replaced(http: httpx2.Client, sent: str) -> None:
    received = http.get("/v1/models", headers={b"x-request-id": sent.encode()}).headers["x-request-id"]
    assert len(received) == 32
    assert received.isalnum()


def test_the_official_client_reads_the_request_id(shared_server: RunningServer) -> None:
    answer = shared_server.openai().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], extra_headers={"x-request-id": "mine"}
    )
    assert answer._request_id == "mine"
