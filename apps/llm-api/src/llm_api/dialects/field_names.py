"""Errors about a request, with the names that its fields have in the dialect of the client."""

import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk
from llm_api.protocol.errors import ApiError
from llm_api.service.model_service import Answer
from llm_api.telemetry.context import current_request


class FieldNames:
    def __init__(self, *names: tuple[str, str | Callable[[re.Match[str]], str]]) -> None:
        """Pairs: a regular expression of the start of the served request's path, and its replacement. The first that matches counts."""
        self._names = [(re.compile(f"^(?:{pattern})"), name) for pattern, name in names]

    def of(self, path: str) -> str:
        for pattern, name in self._names:
            if pattern.match(path):
                return pattern.sub(name, path)
        return path

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Errors that are raised within have the dialect's names."""
        try:
            yield
        except ApiError as error:
            if error.param:
                name = self.of(error.param)
                error.message = error.message.replace(f"'{error.param}'", f"'{name}'")
                error.param, error.args = name, (error.message,)
            raise

    def answer(self, chat: Answer[ChatCompletion, ChatCompletionChunk]) -> "RenamedAnswer":
        return RenamedAnswer(chat, self)


class RenamedAnswer:
    """An `Answer` (llm_api.service.model_service)."""

    def __init__(self, chat: Answer[ChatCompletion, ChatCompletionChunk], names: FieldNames) -> None:
        self._chat = chat
        self._names = names

    async def infer(self) -> ChatCompletion:
        known = len(current_request().ignored_fields)
        with self._names.in_errors():
            whole = await self._chat.infer()
        self._rename_ignored(known)
        return whole

    async def stream_infer(self) -> AsyncGenerator[ChatCompletionChunk]:
        known = len(current_request().ignored_fields)
        with self._names.in_errors():
            async with aclosing(self._chat.stream_infer()) as chunks:
                async for chunk in chunks:
                    self._rename_ignored(known)
                    yield chunk

    def _rename_ignored(self, known: int) -> None:
        """The first `known` fields were named as the client read its request; the service added the others before it answered."""
        fields = current_request().ignored_fields
        fields[known:] = [self._names.of(name) for name in fields[known:]]


_FUNCTION = r"(tools\[\d+\])\.function"
RESPONSE_FIELDS = FieldNames(
    (r"response_format\.json_schema", "text.format"),
    ("response_format", "text.format"),
    (_FUNCTION, r"\1"),
    ("max_completion_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("messages.*", "input"),
)
MESSAGE_FIELDS = FieldNames(
    (r"response_format\.json_schema\.schema", "output_config.format.schema"),
    ("response_format", "output_config.format"),
    (_FUNCTION + r"\.parameters", r"\1.input_schema"),
    (_FUNCTION, r"\1"),
    ("max_completion_tokens", "max_tokens"),
    ("reasoning_effort", "output_config.effort"),
    ("messages.*", "messages"),
)
