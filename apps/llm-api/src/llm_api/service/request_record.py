"""Records a request in the metrics and in the context that the access log reads."""

import asyncio
import time
from types import TracebackType
from typing import Self

from llm_api.engine.messages import SequenceOutput
from llm_api.protocol.response import Usage
from llm_api.telemetry.context import current_request
from llm_api.telemetry.metrics import Metrics


class RequestRecord:
    """Counts while the request runs. Leaving the `with` block closes the record if the request has not finished."""

    def __init__(self, metrics: Metrics, prompt_tokens: int, sequences: int) -> None:
        self._metrics = metrics
        self._context = current_request()
        self._context.prompt_tokens = prompt_tokens
        self._unfinished = sequences
        self._reason: str | None = None
        self._last_output: dict[int, float] = {}

    def output(self, choice_index: int, output: SequenceOutput, is_reasoning: bool) -> None:
        if choice_index not in self._last_output and output.index == 0:
            self._context.cached_tokens += output.cached_tokens
        self.token_arrived(choice_index)
        self._context.completion_tokens += len(output.token_ids)
        self._context.reasoning_tokens += len(output.token_ids) if is_reasoning else 0

    def token_arrived(self, choice_index: int) -> None:
        """Measures the time since the request, or since the choice's last token."""
        now = time.monotonic()
        if not self._last_output:
            self._metrics.first_token(now - self._context.arrived)
        if choice_index in self._last_output:
            self._metrics.inter_token(now - self._last_output[choice_index])
        self._last_output[choice_index] = now

    def counted(self, usage: Usage) -> None:
        """The tokens so far, for a request that an upstream engine counts."""
        context = self._context
        context.prompt_tokens, context.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        context.cached_tokens = usage.prompt_tokens_details.cached_tokens
        context.reasoning_tokens = usage.completion_tokens_details.reasoning_tokens

    def choice_finished(self, reason: str) -> None:
        """Sets the request's reason: `length` if any of its choices ended by length."""
        self._reason = "length" if "length" in (reason, self._reason) else reason
        self._unfinished -= 1
        if not self._unfinished:
            self._close(self._reason)

    def discard(self) -> None:
        """The request was refused: it is no generation that failed."""
        self._unfinished = 0

    @property
    def usage(self) -> Usage:
        context = self._context
        return Usage.of(context.prompt_tokens, context.completion_tokens, context.cached_tokens, context.reasoning_tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._unfinished:
            left = kind is not None and issubclass(kind, asyncio.CancelledError | GeneratorExit)
            self._close("abort" if left else "error")

    def _close(self, reason: str) -> None:
        context = self._context
        self._unfinished = 0
        context.finish_reason = reason
        self._metrics.request_finished(reason, time.monotonic() - context.arrived, context.prompt_tokens, context.completion_tokens)
