"""Ends a text where a stop string begins, however the text is cut into pushes."""

from collections.abc import Sequence


class StopPattern:
    """A stop string and, for each length of a part of it, the longest shorter part that this one ends with."""

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self._shorter = [0] * len(stop)
        for end in range(1, len(stop)):
            self._shorter[end] = self.advance(self._shorter[end - 1], stop[end])

    def advance(self, length: int, char: str) -> int:
        """How many characters of the stop string the text ends with, after one more character of the text."""
        while length and self.stop[length] != char:
            length = self._shorter[length - 1]
        return length + 1 if self.stop[length] == char else 0


class StopStrings:
    """The string that is complete first wins; of two complete at once the longer. Nothing follows a match."""

    def __init__(self, stops: Sequence[str | StopPattern]) -> None:
        self._patterns = [stop if isinstance(stop, StopPattern) else StopPattern(stop) for stop in stops]
        self._lengths = [0] * len(self._patterns)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Text that is surely before any stop string, and whether one was found. Holds back what may begin one."""
        if not self._patterns:
            return text, False
        lengths, whole = self._lengths, self._held + text
        for position, char in enumerate(text, len(self._held) + 1):
            matched = 0
            for index, pattern in enumerate(self._patterns):
                lengths[index] = pattern.advance(lengths[index], char)
                if lengths[index] == len(pattern.stop):
                    matched = max(matched, lengths[index])
            if matched:
                return whole[: position - matched], True
        cut = len(whole) - max(lengths)
        self._held = whole[cut:]
        return whole[:cut], False

    def flush(self) -> str:
        """What was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held
