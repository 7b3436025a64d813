"""Separates a model's reasoning from its answer, as the text arrives."""

from enum import Enum, auto

from llm_api.chat.output.parts import OutputParser, OutputPart, Reasoning, held_back
from llm_api.chat.output.reasoning_formats import ReasoningFormat


class _State(Enum):
    BEFORE = auto()
    INSIDE = auto()
    BETWEEN = auto()  # after the end's marker, before the answer's first character
    AFTER = auto()


class ReasoningParser:
    """An `OutputParser`. What is not reasoning goes to the parser `then`. Reasoning is only at an answer's beginning."""

    def __init__(self, reasoning: ReasoningFormat, then: OutputParser, *, begun: bool, included: bool = True) -> None:
        """`begun`: the prompt ends within the reasoning. `included`: False leaves the reasoning out."""
        self._format = reasoning
        self._then = then
        self._included = included
        self._state = _State.INSIDE if begun else _State.BEFORE
        self._starts = begun  # nothing of the reasoning has come yet
        self._text = ""

    @property
    def in_reasoning(self) -> bool:
        return self._state is _State.INSIDE

    def push(self, text: str) -> list[OutputPart]:
        if self._state is _State.AFTER:
            return self._then.push(text)
        self._text += text
        parts: list[OutputPart] = []
        while self._advance(parts):
            pass
        return parts

    def finish(self) -> list[OutputPart]:
        rest, self._text = self._text, ""
        if self._state is _State.INSIDE:
            return [*self._thought(rest), *self._then.finish()]
        return (self._then.push(rest) if self._state is _State.BEFORE else []) + self._then.finish()

    def _advance(self, parts: list[OutputPart]) -> bool:
        """Whether the state changed, so that the rest of the text may give more."""
        match self._state:
            case _State.BEFORE:
                return self._find_start()
            case _State.INSIDE:
                return self._find_end(parts)
            case _State.BETWEEN:
                return self._skip_space()
        if self._text:
            parts += self._then.push(self._text)
            self._text = ""
        return False

    def _find_start(self) -> bool:
        begun = self._text.lstrip()
        for marker, state in ((self._format.start, _State.INSIDE), (self._format.answer, _State.BETWEEN)):
            if marker and begun.startswith(marker):
                self._text, self._state, self._starts = begun[len(marker) :], state, True
                return True
            if marker and marker.startswith(begun):
                return False
        self._state = _State.AFTER
        return True

    def _find_end(self, parts: list[OutputPart]) -> bool:
        if self._starts:
            self._text = self._text.lstrip()
            self._starts = not self._text
        at = self._text.find(self._format.end)
        if at >= 0:
            parts += self._thought(self._text[:at].rstrip())
            self._text, self._state = self._text[at + len(self._format.end) :], _State.BETWEEN
            return True
        ready = len(self._text) - held_back(self._text, self._format.end)
        parts += self._thought(self._text[:ready])
        self._text = self._text[ready:]
        return False

    def _skip_space(self) -> bool:
        self._text = self._text.lstrip()
        if not self._text:
            return False
        self._state = _State.AFTER
        return True

    def _thought(self, text: str) -> list[OutputPart]:
        return [Reasoning(text)] if text and self._included else []
