"""Why an answer ended."""

from typing import Literal

from llm_api.protocol.errors import EngineFailed

Reason = Literal["stop", "length", "tool_calls", "content_filter"]

NAMES: dict[str | None, Reason] = {
    "stop": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    None: "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def finish_reason(reason: str | None) -> Reason:
    """OpenAI's word for the engine's. Raises EngineFailed for an answer that the engine gave up, such as `abort`."""
    if reason not in NAMES:
        raise EngineFailed(f"The engine ended the answer with {reason!r}. Send the request again.")
    return NAMES[reason]
