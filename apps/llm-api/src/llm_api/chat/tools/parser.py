"""Finds the calls in the text of an answer, as it arrives."""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from llm_api.chat.output.parts import Content, OutputPart, ToolCallArguments, ToolCallStart, held_back
from llm_api.chat.tools.arguments import ArgumentsReader, JsonArguments
from llm_api.chat.tools.call_format import CallFormat

NOT_IN_NAMES = re.compile("[^a-zA-Z0-9_.-]")


class _State(Enum):
    TEXT = auto()
    NAME = auto()
    ARGUMENTS = auto()
    AFTER = auto()


class ToolCallParser:
    """An `OutputParser`. The text of a call follows the format, because the engine holds it to that once the trigger is written."""

    in_reasoning = False

    def __init__(self, call_format: CallFormat, schemas: Mapping[str, Mapping[str, Any] | None], forced: bool = False) -> None:
        """`schemas`: of the functions' arguments, by name. `forced`: the answer begins with a call."""
        self._format = call_format
        self._schemas = schemas
        self._state = _State.TEXT
        self._text = ""
        self._begins = True  # nothing but space so far
        self._forced = forced
        self._before_text = call_format.before_text  # unless it has come
        self._index = -1
        self._arguments: ArgumentsReader = JsonArguments()
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
        if self._state is not _State.TEXT or self._forced or not rest:
            return []
        cut = self._before_text and any(marker.startswith(rest) for marker in (self._before_text, self._format.trigger))
        return [] if cut else [Content(rest)]

    def _advance(self, parts: list[OutputPart]) -> bool:
        """Whether the state changed, so that the rest of the text may give more."""
        match self._state:
            case _State.TEXT:
                return self._skip_marker() or self._find_trigger(parts)
            case _State.NAME:
                return self._find_name(parts)
            case _State.ARGUMENTS:
                return self._find_end(parts)
        return self._find_next()

    def _skip_marker(self) -> bool:
        """Of an answer without calls."""
        marker = self._before_text
        if not marker or not self._text.startswith(marker):
            return False
        self._text, self._before_text, self._begins = self._text[len(marker) :], "", False
        return True

    def _find_trigger(self, parts: list[OutputPart]) -> bool:
        trigger = self._format.trigger
        at = self._text.find(trigger)
        if at >= 0 and (not self._format.only_at_start or (self._begins and not self._text[:at].strip())):
            if before := self._text[:at].rstrip():
                parts.append(Content(before))
            self._text = self._text[at + len(trigger) :]
            self._expect_name(self._format.beginning.removeprefix(trigger))
            return True
        if self._before_text.startswith(self._text):
            return False
        held = 0 if self._format.only_at_start and not self._begins else held_back(self._text, trigger)
        ready, self._text = self._text[: len(self._text) - held], self._text[len(self._text) - held :]
        if ready:
            self._begins, self._before_text = self._begins and not ready.strip(), ""
            parts.append(Content(ready))
        return False

    def _expect_name(self, prefix: str) -> None:
        self._prefix = prefix
        self._state = _State.NAME

    def _find_name(self, parts: list[OutputPart]) -> bool:
        end = NOT_IN_NAMES.search(self._text, len(self._prefix))
        if end is None or not self._text.startswith(self._format.before_arguments, end.start()):
            return False
        name = self._text[len(self._prefix) : end.start()]
        self._index += 1
        parts.append(ToolCallStart(self._index, self._format.new_id(), name))
        self._text = self._text[end.start() + len(self._format.before_arguments) :]
        self._state, self._arguments = _State.ARGUMENTS, self._format.reader(self._schemas.get(name))
        return True

    def _find_end(self, parts: list[OutputPart]) -> bool:
        arguments, rest = self._arguments.read(self._text)
        self._text = rest or ""
        if arguments:
            parts.append(ToolCallArguments(self._index, arguments))
        if rest is None:
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
