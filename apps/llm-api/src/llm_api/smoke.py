"""Smoke test: requests the models, a chat completion and a stream from a running service."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

_TRANSIENT = (429, 502, 503, 504)
_QUESTION = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16, "temperature": 0}


class SmokeFailed(Exception):
    """Names the check that failed and the response of the service."""


class Smoke:
    """`patience`: seconds during which failed connections and transient errors (429, 502, 503, 504) are retried."""

    def __init__(self, url: str, key: str | None, patience: float, say: Callable[[str], None]) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=httpx2.Timeout(120, connect=5))
        self._retrying = Retrying(
            retry=retry_if_exception(_is_transient), stop=stop_after_delay(patience), wait=wait_fixed(min(1, patience)), reraise=True
        )
        self._say = say

    def run(self) -> None:
        """Raises SmokeFailed."""
        with self._http:
            model = self._checked("models", self._first_model)
            self._checked("chat", lambda: self._chat(model))
            self._checked("stream", lambda: self._stream(model))

    def _checked(self, name: str, check: Callable[[], str]) -> str:
        started = time.monotonic()
        try:
            found: str = self._retrying(check)
        except httpx2.HTTPStatusError as error:
            raise SmokeFailed(f"{name}: HTTP {error.response.status_code}: {error.response.text[:300]}") from error
        except httpx2.HTTPError as error:
            raise SmokeFailed(f"{name}: {error or type(error).__name__}") from error
        except (LookupError, TypeError, ValueError) as error:
            raise SmokeFailed(f"{name}: unexpected response format: {type(error).__name__}: {error}") from error
        self._say(f"{name} ok, {time.monotonic() - started:.2f} s: {found!r}")
        return found

    def _first_model(self) -> str:
        response = self._http.get("/v1/models").raise_for_status()
        name: str = response.json()["data"][0]["id"]
        return name

    def _chat(self, model: str) -> str:
        response = self._http.post("/v1/chat/completions", json={"model": model, **_QUESTION}).raise_for_status()
        choice = response.json()["choices"][0]
        return _complete("chat", choice["message"]["content"], choice["finish_reason"])

    def _stream(self, model: str) -> str:
        text, finish_reason, last = "", None, ""
        for last in self._events({"model": model, **_QUESTION, "stream": True}):
            for choice in () if last == "[DONE]" else json.loads(last)["choices"]:
                text += choice["delta"].get("content") or ""
                finish_reason = choice["finish_reason"] or finish_reason
        if last != "[DONE]":
            raise SmokeFailed("stream: ended without [DONE]")
        return _complete("stream", text, finish_reason)

    def _events(self, body: dict[str, Any]) -> Iterator[str]:
        with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.is_error:
                response.read()
                response.raise_for_status()
            yield from (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))


def _complete(check: str, text: str | None, finish_reason: str | None) -> str:
    if not text or finish_reason not in ("stop", "length"):
        raise SmokeFailed(f"{check}: incomplete response: finish_reason {finish_reason!r}, text {text!r}")
    return text


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code in _TRANSIENT
    return isinstance(error, httpx2.TransportError)
