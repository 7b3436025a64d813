"""fitting.py makes generated requests smaller, and never makes an invalid one valid."""

from typing import Any

import pytest
from contract.fitting import LARGEST, VOCABULARY, fit

FEW = {"max_completion_tokens": 4}
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@pytest.mark.parametrize(
    ("path", "body", "fitted"),
    [
        (CHAT, {}, {"max_completion_tokens": 4}),
        (CHAT, {"max_tokens": 500}, {"max_tokens": 4}),
        (CHAT, {"max_tokens": -1}, {"max_tokens": 4}),
        (CHAT, {"max_tokens": 500, "max_completion_tokens": 400}, {"max_tokens": 500, "max_completion_tokens": 4}),
        (CHAT, {"n": 128}, {"n": 128, "max_completion_tokens": 1}),
        (CHAT, {"messages": [{"role": "user", "name": "ann"}]}, {"messages": [{"role": "user"}], "max_completion_tokens": 4}),
        (CHAT, {"stop_token_ids": [VOCABULARY + 5, 6.0]}, {"stop_token_ids": [5, 6], "max_completion_tokens": 4}),
        (
            CHAT,
            {"reasoning_effort": "low", "chat_template_kwargs": {"a": 1}},
            {"reasoning_effort": None, "chat_template_kwargs": None} | FEW,
        ),
        (CHAT, {"continue_final_message": True, "enable_thinking": False}, {"continue_final_message": None, "enable_thinking": None} | FEW),
        (COMPLETIONS, {"max_tokens": 0}, {"max_tokens": 0}),
        (COMPLETIONS, {"best_of": 5, "suffix": "b"}, {"best_of": None, "suffix": None, "max_tokens": 4}),
        (COMPLETIONS, {"prompt": ["a"] * 10, "n": 100}, {"prompt": ["a"] * 10, "n": 1, "max_tokens": 4}),
        (COMPLETIONS, {"prompt": [[VOCABULARY + 5]]}, {"prompt": [[5]], "max_tokens": 4}),
        (COMPLETIONS, {"logit_bias": {str(VOCABULARY): 1}}, {"logit_bias": {"0": 1}, "max_tokens": 4}),
    ],
)
def test_a_valid_request_is_fitted_to_model_and_time(path: str, body: dict[str, Any], fitted: dict[str, Any]) -> None:
    assert fit(path, body) == fitted


@pytest.mark.parametrize(
    "invalid",
    [
        {"max_tokens": -2},
        {"max_tokens": LARGEST + 1},
        {"max_tokens": "9"},
        {"max_tokens": True},
        {"max_tokens": 9.5},
        {"max_tokens": 1, "n": 0},
        {"max_tokens": 1, "prompt": [-1, LARGEST + 1, 1.5, True, None]},
        {"max_tokens": 1, "logit_bias": {"007": 1, " 5": 1, "x": 1}},
        {"max_tokens": 1, "messages": [{"name": 5}, "hi", None]},
        {"max_tokens": 1, "messages": "hi"},
        {"max_tokens": 1, "allowed_token_ids": [-1], "stop_token_ids": "5", "reasoning_effort": "huge"},
        {"max_tokens": 1, "chat_template_kwargs": [], "enable_thinking": 1, "continue_final_message": "yes"},
    ],
)
def test_invalid_values_are_unchanged(invalid: dict[str, Any]) -> None:
    assert fit(CHAT, invalid) == invalid


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_a_body_that_is_not_an_object_is_unchanged(body: Any) -> None:
    assert fit(CHAT, body) is body
