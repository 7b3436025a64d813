"""Finds the calls in the text of an answer, as it arrives."""

from enum import Enum, auto

from llm_api.chat.output.parts import Content, OutputPart, ToolCallArguments, ToolCallStart, held_back
from llm_api.chat.tools.call_format import CallFormat
from llm_api.chat.tools.json_end import JsonEnd


class _State(Enum):
    TEXT = auto()
    NAME = auto()
    ARGUMENTS = auto()
    AFTER = auto()


class ToolCallParser:
    """An `OutputParser`. The text of a call follows the format, because the engine holds it to that once the trigger is written."""

    in_reasoning = False

    def __init__(self, call_format: CallFormat, forced: bool = False) -> None:
        """`forced`: the answer begins with a call."""
        self._format = call_format
        self._state = _State.TEXT
        self._text = ""
        self._begins = True  # nothing but space so far
        self._forced = forced
        self._index = -1
        self._end = JsonEnd()
        self._prefix = ""  # before the name

    def push(self, text: str) -> list[OutputPart]:
        self._text += text
        parts: list[OutputPart] = []
        while self._advance(parts):
            pass
        return parts

    def finish(self) -> list[OutputPart]:
        """A call that was cut before its arguments is left out."""
        rest, self._text = self._text, ""
        return [Content(rest)] if self._state is _State.TEXT and rest and not self._forced else []

    def _advance(self, parts: list[OutputPart]) -> bool:
        """Whether the state changed, so that the rest of the text may give more."""
        match self._state:
            case _State.TEXT:
                return self._find_trigger(parts)
            case _State.NAME:
                return self._find_name(parts)
            case _State.ARGUMENTS:
                return self._find_end(parts)
        return self._find_next()

    def _find_trigger(self, parts: list[OutputPart]) -> bool:
        trigger = self._format.trigger
        at = self._text.find(trigger)
        if at >= 0 and (not self._format.only_at_start or (self._begins and not self._text[:at].strip())):
            if before := self._text[:at].rstrip():
                parts.append(Content(before))
            self._text = self._text[at + len(trigger) :]
            self._expect_name(self._format.beginning.removeprefix(trigger))
            return True
        held = 0 if self._format.only_at_start and not self._begins else held_back(self._text, trigger)
        ready, self._text = self._text[: len(self._text) - held], self._text[len(self._text) - held :]
        if ready:
            self._begins = self._begins and not ready.strip()
            parts.append(Content(ready))
        return False

    def _expect_name(self, prefix: str) -> None:
        self._prefix = prefix
        self._state = _State.NAME

    def _find_name(self, parts: list[OutputPart]) -> bool:
        start = len(self._prefix)
        at = self._text.find(self._format.before_arguments, start)
        if at < 0:
            return False
        self._index += 1
        parts.append(ToolCallStart(self._index, self._format.new_id(), self._text[start:at]))
        self._text = self._text[at + len(self._format.before_arguments) :]
        self._state, self._end = _State.ARGUMENTS, JsonEnd()
        return True

    def _find_end(self, parts: list[OutputPart]) -> bool:
        at = self._end.find(self._text)
        arguments, self._text = (self._text, "") if at is None else (self._text[:at], self._text[at:])
        if arguments:
            parts.append(ToolCallArguments(self._index, arguments))
        if at is None:
            return False
        self._state = _State.AFTER
        return True

    def _find_next(self) -> bool:
        more = self._format.after_arguments + (self._format.between or "") + self._format.before_name
        if self._format.between is None or not self._text.startswith(more):
            return False
        self._text = self._text[len(more) :]
        self._expect_name("")
        return True
