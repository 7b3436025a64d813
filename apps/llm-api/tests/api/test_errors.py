import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL, Script, ScriptedService


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/models/unknown", 404),
        ("GET", "/v1/models/", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/docs/assets/redoc.js", 404),
        ("GET", "/docs/assets/..%2f..%2fsettings.py", 404),
        ("GET", "/%ff%fe", 404),
        ("GET", CHAT, 405),
        ("DELETE", CHAT, 405),
        ("POST", "/v1/models", 405),
        ("POST", "/healthz", 405),
        ("PROPFIND", "/v1/completions", 405),
    ],
)
def test_the_routers_errors_are_the_openai_object(http: httpx2.Client, method: str, path: str, status: int) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert error["code"]
    if status == 405:
        assert f"but {response.headers['allow']}." in error["message"]


def test_an_unexpected_error_tells_nothing_of_the_inside() -> None:
    service = ScriptedService()
    service.scripts["crash"] = Script(fail_after=0, error=ZeroDivisionError("/secret/path"))
    with running_server(service) as server, server.client() as http:
        response = http.post(CHAT, json=chat_body("crash"))
        assert http.post(CHAT, json=chat_body()).status_code == 200
    assert response.status_code == 500
    assert response.json() == {
        "error": {
            "message": "The server failed to process the request. It is logged under its request id.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    }


def test_models_are_listed_and_described_by_ids_with_slashes(shared_server: RunningServer) -> None:
    client = shared_server.openai()
    assert [model.id for model in client.models.list()] == [MODEL]
    assert httpx2.get(f"{shared_server.url}/v1/models/{MODEL}").json()["object"] == "model"
    assert client.models.retrieve(MODEL).owned_by == "llm-api"
    assert httpx2.get(f"{shared_server.url}/v1/models/none").json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/models", "/nowhere", "/healthz"])
def test_a_request_id_comes_back(http: httpx2.Client, path: str) -> None:
    assert http.get(path, headers={"x-request-id": "client-id.1"}).headers["x-request-id"] == "client-id.1"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "é", "<script>", 'a"b'])
def test_a_malformed_request_id_is_replaced(http: httpx2.Client, sent: str) -> None:
    received = http.get("/v1/models", headers={b"x-request-id": sent.encode()}).headers["x-request-id"]
    assert len(received) == 32
    assert received.isalnum()


def test_the_official_client_knows_its_request_id(shared_server: RunningServer) -> None:
    answer = shared_server.openai().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], extra_headers={"x-request-id": "mine"}
    )
    assert answer._request_id == "mine"
