"""Facts about the current request. Its handlers write them; the access log and the metrics read them."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class RequestContext:
    request_id: str
    arrived: float = field(default_factory=time.monotonic)
    key_name: str | None = None
    request_fields: Literal["strict", "warn", "ignore"] | None = None  # of the key; None: as the setting says
    body_bytes: int = 0
    model: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0  # of the completion tokens
    finish_reason: str | None = None
    ignored_fields: list[str] = field(default_factory=list)  # names as the client wrote them, so they are not logged


REQUEST_CONTEXT: ContextVar[RequestContext] = ContextVar("request_context")


def current_request() -> RequestContext:
    """The context of the current request. Outside of a request it is a new, unused one."""
    return REQUEST_CONTEXT.get(RequestContext(request_id=""))
