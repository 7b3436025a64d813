"""Ends a text where a stop string begins, in whatever pieces the text arrives."""

from collections.abc import Sequence


class StopPattern:
    """A stop string with its Knuth-Morris-Pratt table: for each matched length, the next shorter prefix that may still match."""

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self._shorter = [0] * len(stop)
        for end in range(1, len(stop)):
            self._shorter[end] = self.advance(self._shorter[end - 1], stop[end])

    def advance(self, length: int, char: str) -> int:
        """The matched length after one more character of the text, given the matched length before it."""
        while length and self.stop[length] != char:
            length = self._shorter[length - 1]
        return length + 1 if self.stop[length] == char else 0


class StopStrings:
    """The first complete stop string ends the text; of two that are complete at once, the longer one. No push may follow a match."""

    def __init__(self, stops: Sequence[str | StopPattern], *, included: bool = False) -> None:
        """`included`: the text ends after the stop string, not before it."""
        self._included = included
        self._patterns = [stop if isinstance(stop, StopPattern) else StopPattern(stop) for stop in stops]
        self._lengths = [0] * len(self._patterns)
        self._held = ""
        self.found: str | None = None  # the stop string that ended the text

    def push(self, text: str) -> tuple[str, bool]:
        """Returns the text up to any stop string, and whether one was found. Holds back text that may begin one."""
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
                self.found = whole[position - matched : position]
                return whole[: position if self._included else position - matched], True
        cut = len(whole) - max(lengths)
        self._held = whole[cut:]
        return whole[:cut], False

    def flush(self) -> str:
        """The text that was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held
