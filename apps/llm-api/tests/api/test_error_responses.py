import httpx2
import pytest
from api.running_server import CHAT, chat_body, running_server
from api.scripted_service import Script, ScriptedService


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/models/unknown", 404),
        ("POST", "/v1/images/generations", 404),
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
def test_routing_errors_are_the_openai_error_object(http: httpx2.Client, method: str, path: str, status: int) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert error["code"]
    if status == 405:
        assert f"It supports {response.headers['allow']}." in error["message"]


def test_an_unexpected_error_reveals_no_details() -> None:
    service = ScriptedService()
    service.scripts["crash"] = Script(fail_after=0, error=ZeroDivisionError("/secret/path"))
    with running_server(service) as server, server.client() as http:
        response = http.post(CHAT, json=chat_body("crash"))
        assert http.post(CHAT, json=chat_body()).status_code == 200
    assert response.status_code == 500
    assert response.json() == {
        "error": {
            "message": "The server failed to process the request. The error is logged under the request id.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    }
