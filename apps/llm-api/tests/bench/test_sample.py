"""A sample reads streams in pieces of any size, with or without the optional parts."""

import json
from typing import Any

import pytest

from llm_api.bench.exchange import Exchange
from llm_api.bench.sample import read_sample


def event(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}], **more})}\n\n".encode()


ROLE, END, DONE = event(""), event(finish="stop"), b"data: [DONE]\n\n"
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\n'


def answer(*pieces: tuple[float, bytes], status: int = 200, failure: str | None = None) -> Exchange:
    return Exchange(status=status, sent=10.0, ended=pieces[-1][0] if pieces else 10.0, pieces=list(pieces), failure=failure)


def test_times_are_those_of_the_pieces_of_text() -> None:
    sample = read_sample(answer((10.1, ROLE), (10.5, event("a")), (10.6, event("b")), (10.9, event("c")), (11.0, END + USAGE + DONE)))
    assert sample.first_token == pytest.approx(0.5)
    assert sample.gaps == pytest.approx((0.1, 0.3))
    assert (sample.prompt_tokens, sample.completion_tokens, sample.failure) == (7, 5, None)


def test_an_event_arrives_with_the_piece_that_ends_it() -> None:
    text = event("a")
    sample = read_sample(answer((10.1, ROLE + text[:20]), (10.2, text[20:-1]), (10.3, text[-1:] + END)))
    assert sample.first_token == pytest.approx(0.3)


def test_carriage_returns_may_be_split_over_pieces() -> None:
    stream = (event("a") + event("b") + END).replace(b"\n", b"\r\n")
    sample = read_sample(answer(*((10 + n / 1000, stream[n : n + 1]) for n in range(len(stream)))))
    assert (sample.completion_tokens, sample.failure) == (2, None)


def test_text_is_counted_when_the_server_counts_nothing_and_done_is_optional() -> None:
    assert read_sample(answer((10.1, ROLE + event("a") + event("b") + END))).completion_tokens == 2


def test_usage_beside_the_last_choice_is_read() -> None:
    end = event(finish="length", usage={"prompt_tokens": 3, "completion_tokens": 9})
    assert read_sample(answer((10.1, event("a") + end))).completion_tokens == 9


def test_usage_null_before_the_last_chunk_is_no_usage() -> None:
    assert read_sample(answer((10.1, event("a", usage=None) + END + USAGE))).completion_tokens == 5


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (answer((10.1, event("a") + DONE)), "finish_reason"),
        (answer((10.1, event("a") + b'data: {"error": {"message": "the engine died"}}\n\n')), "the engine died"),
        (answer((10.1, b'{"detail": "no"}'), status=422), "HTTP 422"),
        (answer((10.1, b"data: {broken\n\n")), "not a stream"),
        (answer((10.1, b'data: ["odd"]\n\n')), "not a stream"),
        (answer(failure="connection refused"), "connection refused"),
    ],
)
def test_a_failure_is_reported_and_counts_no_tokens(exchange: Exchange, reason: str) -> None:
    sample = read_sample(exchange)
    assert sample.failure is not None
    assert reason in sample.failure
    assert sample.completion_tokens == 0
