"""Reads arguments that are written as keys and values, as they arrive, and gives them as JSON."""

import json
from collections.abc import Iterator
from enum import Enum, auto

from llm_api.chat.tools.json_end import JsonEnd
from llm_api.chat.tools.keyed.parameters import Parameters
from llm_api.chat.tools.keyed.style import KeyedStyle
from llm_api.chat.tools.keyed.text_value import TextValue


class _State(Enum):
    BETWEEN = auto()
    KEY = auto()
    JSON = auto()
    TEXT = auto()
    AFTER_JSON = auto()


class KeyedArguments:
    """An `ArgumentsReader`."""

    def __init__(self, parameters: Parameters, style: KeyedStyle, after_arguments: str) -> None:
        self._parameters = parameters
        self._style = style
        self._after_arguments = after_arguments
        self._state = _State.BETWEEN
        self._text = ""
        self._keys: set[str] = set()
        self._muted = False  # a key that was there before
        self._json = JsonEnd()
        self._value = TextValue("")

    def read(self, text: str) -> tuple[str, str | None]:
        self._text += text
        pieces: list[str] = []
        while not self._ended():
            before = self._state, len(self._text)
            pieces += self._next()
            if before == (self._state, len(self._text)):
                return "".join(pieces), None
        return "".join(pieces) + ("}" if self._keys else "{}"), self._text

    def _ended(self) -> bool:
        return self._state is _State.BETWEEN and self._text.startswith(self._after_arguments)

    def _next(self) -> Iterator[str]:
        """The JSON of the next part of the text, if it is there. What is read is taken from the text."""
        match self._state:
            case _State.BETWEEN:
                self._pass((self._style.separator if self._keys else "") + self._style.before_key, _State.KEY)
            case _State.KEY:
                yield self._key()
            case _State.AFTER_JSON:
                self._pass(self._style.after_value, _State.BETWEEN)
            case _State.JSON:
                yield self._heard(self._json_value())
            case _State.TEXT:
                yield self._heard(self._text_value())

    def _pass(self, expected: str, then: _State) -> None:
        if self._text.startswith(expected) and not self._may_end():
            self._text, self._state = self._text[len(expected) :], then

    def _may_end(self) -> bool:
        return self._state is _State.BETWEEN and self._after_arguments.startswith(self._text)

    def _key(self) -> str:
        key, found, rest = self._text.partition(self._style.after_key)
        if not found:
            return ""
        self._text = rest
        self._muted = key in self._keys
        begins = ", " if self._keys else "{"
        self._keys.add(key)
        parameter = self._parameters.known.get(key, self._parameters.others)
        if parameter is None or parameter.text is None:
            self._state, self._json = _State.JSON, JsonEnd()
        else:
            self._state, self._value = _State.TEXT, TextValue(self._style.after_value, nullable=parameter.text.nullable)
        return self._heard(f"{begins}{json.dumps(key, ensure_ascii=False)}: ")

    def _heard(self, text: str) -> str:
        return "" if self._muted else text

    def _json_value(self) -> str:
        at = self._json.find(self._text)
        if at is None:
            value, self._text = self._text, ""
            return value
        value, self._text, self._state = self._text[:at], self._text[at:], _State.AFTER_JSON
        return value

    def _text_value(self) -> str:
        value, rest = self._value.read(self._text)
        self._text = rest or ""
        if rest is not None:
            self._state = _State.BETWEEN
        return value
