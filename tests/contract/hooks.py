"""schemathesis hooks: requests that the default model can serve, and a check of every event stream."""

from typing import Any

import schemathesis
from contract.events import check_stream
from contract.fitting import fit
from schemathesis import Case, CheckContext, HookContext, Response


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    case.body = fit(case.operation.path, case.body)


@schemathesis.check
def event_stream_conformance(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """The response is a stream if and only if the request has `stream`, and the stream is complete and well-formed."""
    if response.status_code != 200 or not isinstance(case.body, dict):
        return True  # does not apply
    is_stream = response.headers["content-type"][0].startswith("text/event-stream")
    assert is_stream == (case.body.get("stream") is True), "a stream that was not requested, or no stream although requested"
    if not is_stream:
        return True
    assert not response.stream_cut_short, "the stream did not end in time"
    options = case.body.get("stream_options")
    check_stream(case.operation.path, response.content, isinstance(options, dict) and options.get("include_usage") is True)
    return None
