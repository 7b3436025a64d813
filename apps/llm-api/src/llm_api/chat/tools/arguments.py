"""Reads the arguments of a call, as they arrive."""

from typing import Protocol

from llm_api.chat.tools.json_end import JsonEnd


class ArgumentsReader(Protocol):
    def read(self, text: str) -> tuple[str, str | None]:
        """A piece of JSON, and the text after the arguments, if they end in this text. Nothing is read after that."""
        ...


class JsonArguments:
    """An `ArgumentsReader` of a JSON object."""

    def __init__(self) -> None:
        self._end = JsonEnd()

    def read(self, text: str) -> tuple[str, str | None]:
        at = self._end.find(text)
        return (text, None) if at is None else (text[:at], text[at:])
