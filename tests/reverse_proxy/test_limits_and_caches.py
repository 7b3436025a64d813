"""nginx's own rate and concurrency limits, its cache, and compression."""

import httpx2
import pytest
from reverse_proxy.machine import Change, Machine

CHAT = "/v1/chat/completions"


def strict(zone: str, *changes: Change) -> tuple[Change, ...]:
    """A zone with another name: nginx keeps the counts of a zone when it reloads."""
    return (zone, f"strict_{zone}"), *changes


def rarely(what: str) -> tuple[Change, ...]:
    return strict(
        f"rate_of_{what}",
        (f"rate_of_{what}:10m rate=100r/s", f"rate_of_{what}:10m rate=1r/m"),
        (f"rate_of_{what} burst=200", f"rate_of_{what} burst=2"),
    )


def one_at_once(what: str) -> tuple[Change, ...]:
    return strict(f"concurrent_of_{what}", (f"concurrent_of_{what} 256", f"concurrent_of_{what} 1"))


def question(max_tokens: int, *, stream: bool = False) -> dict[str, object]:
    message = {"role": "user", "content": "Count to a million."}
    return {"model": "SmolLM2-135M-Instruct", "messages": [message], "max_tokens": max_tokens, "stream": stream, "ignore_eos": True}


def assert_too_many(response: httpx2.Response) -> None:
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("requests", None, "rate_limit_exceeded")


def test_a_key_over_its_rate_limit_gets_retry_after_and_other_keys_are_served(machine: Machine) -> None:
    with machine.edited(*rarely("key")), machine.client() as client:
        responses = [client.get("/v1/models") for _ in range(6)]
        other = client.get("/v1/models", headers={"authorization": "Bearer another"})
    assert responses[0].status_code == 200
    assert_too_many(responses[-1])
    assert other.status_code == 401, "another key has a separate limit"


def test_an_address_over_its_rate_limit_gets_retry_after_whatever_its_keys(machine: Machine) -> None:
    with machine.edited(*rarely("address")), machine.client() as client:
        responses = [client.get("/v1/models", headers={"authorization": f"Bearer {number}"}) for number in range(6)]
    assert responses[0].status_code == 401
    assert_too_many(responses[-1])


@pytest.mark.parametrize("what", ["key", "address"])
def test_too_many_concurrent_requests_get_retry_after(machine: Machine, what: str) -> None:
    with machine.edited(*one_at_once(what)), machine.client() as client:
        with client.stream("POST", CHAT, json=question(400, stream=True)) as running:
            lines = running.iter_lines()  # keep the iterator: closing it would close the stream
            assert next(lines)
            assert_too_many(client.get("/v1/models"))
        machine.until(lambda: client.get("/v1/models").status_code == 200, 30)


def test_documents_are_cached(machine: Machine) -> None:
    with machine.client(headers={}) as client:
        for name in ("docs-1", "docs-2"):
            assert client.get("/openapi.json", headers={"x-request-id": name}).headers.get_list("x-request-id") == [name]
    assert machine.logged("docs-2")["cache"] == "HIT"


def test_a_response_to_a_request_with_a_key_is_never_cached(machine: Machine) -> None:
    with machine.client() as client:
        for name in ("models-1", "models-2"):
            assert client.get("/v1/models", headers={"x-request-id": name}).status_code == 200
        assert machine.logged("models-2")["cache"] == "BYPASS"
        for name in ("models-3", "models-4"):
            assert httpx2.get(f"{machine.url}/v1/models", verify=machine.trust, headers={"x-request-id": name}).status_code == 401
        assert machine.logged("models-4")["cache"] == "MISS"
        assert client.post(CHAT, json=question(1), headers={"x-request-id": "chat-1"}).status_code == 200
        assert machine.logged("chat-1")["cache"] == ""
    assert machine.key
    files = [file for file in (machine.home / "nginx" / "cache").rglob("*") if file.is_file()]
    assert all(machine.key.encode() not in file.read_bytes() for file in files)


def test_json_is_compressed_and_events_are_neither_compressed_nor_buffered(machine: Machine) -> None:
    with machine.client(headers={**machine.headers, "accept-encoding": "gzip"}) as client:
        assert client.get("/openapi.json").headers["content-encoding"] == "gzip"
        with client.stream("POST", CHAT, json=question(1000, stream=True)) as response:
            assert "content-encoding" not in response.headers
            lines = response.iter_lines()
            assert next(lines).startswith("data: ")
            assert machine.running_requests() == 1, "the first event arrives while the others are generated"
    machine.until(lambda: machine.running_requests() == 0, 30)
