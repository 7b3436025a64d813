"""Reads a string that is written as it is, as it arrives, and gives it as JSON."""

import json

NULL = "null"


class TextValue:
    def __init__(self, end: str, *, nullable: bool = False) -> None:
        """`end`: follows the value. `nullable`: the text null is JSON's null."""
        self._end = end
        self._nullable = nullable
        self._text = ""
        self._begun = False

    def read(self, text: str) -> tuple[str, str | None]:
        """JSON, and the text after the end, if that is there."""
        self._text += text
        at = self._text.find(self._end)
        if at < 0:
            return self._ready(), None
        value, rest = self._text[:at], self._text[at + len(self._end) :]
        if self._nullable and not self._begun and value == NULL:
            return NULL, rest
        return f'{self._opening()}{_escaped(value)}"', rest

    def _ready(self) -> str:
        """Without what may belong to the end."""
        held = next(size for size in range(min(len(self._end) - 1, len(self._text)), -1, -1) if self._text.endswith(self._end[:size]))
        ready = self._text[: len(self._text) - held]
        if not ready or (self._nullable and not self._begun and NULL.startswith(ready)):
            return ""
        self._text = self._text[len(ready) :]
        return self._opening() + _escaped(ready)

    def _opening(self) -> str:
        opening, self._begun = "" if self._begun else '"', True
        return opening


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
