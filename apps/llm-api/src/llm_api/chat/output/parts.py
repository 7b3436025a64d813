"""The parts of an answer, in the order in which the model generates them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Content:
    """Text for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Text that the model wrote before its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """Begins the call with this index; the first call of an answer has index 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallArguments:
    """A piece of a call's arguments. The pieces of a call, joined, are JSON."""

    index: int
    text: str


OutputPart = Content | Reasoning | ToolCallStart | ToolCallArguments


class OutputParser(Protocol):
    """Turns the text of one choice into parts, as the text arrives. Each choice has a parser of its own."""

    @property
    def in_reasoning(self) -> bool:
        """Whether the text so far ends inside the reasoning."""
        ...

    def push(self, text: str) -> list[OutputPart]:
        """The parts that `text` completes. Text that may be the beginning of a marker is held back."""
        ...

    def finish(self) -> list[OutputPart]:
        """The parts of the text that was held back. No push may follow."""
        ...


class PlainOutput:
    """All text is content."""

    in_reasoning = False

    def push(self, text: str) -> list[OutputPart]:
        return [Content(text)] if text else []

    def finish(self) -> list[OutputPart]:
        return []


def joined(parts: list[OutputPart]) -> list[OutputPart]:
    """Neighbouring pieces of the same text as one part."""
    result: list[OutputPart] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, Content) and isinstance(last, Content):
            result[-1] = Content(last.text + part.text)
        elif isinstance(part, Reasoning) and isinstance(last, Reasoning):
            result[-1] = Reasoning(last.text + part.text)
        elif isinstance(part, ToolCallArguments) and isinstance(last, ToolCallArguments) and part.index == last.index:
            result[-1] = ToolCallArguments(part.index, last.text + part.text)
        else:
            result.append(part)
    return result


def held_back(text: str, marker: str) -> int:
    """How many characters at the end of `text` may belong to the marker: its beginning, and space before that."""
    begun = next((size for size in range(min(len(marker) - 1, len(text)), 0, -1) if text.endswith(marker[:size])), 0)
    before = text[: len(text) - begun]
    return begun + len(before) - len(before.rstrip())
