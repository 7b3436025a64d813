"""Finds where a JSON value ends, in pieces of text."""

import string

PLAIN = frozenset(string.ascii_letters + string.digits + "+-.")  # the characters of numbers, true, false and null


class JsonEnd:
    """For one value that is known to be valid. Nothing is before it."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = self._plain = False

    def find(self, piece: str) -> int | None:
        """The position after the value's last character, if that is known with this piece. The next piece continues."""
        for position, character in enumerate(piece):
            if self._in_string:
                self._pass_string(character)
            elif self._plain and not self._depth:
                if character not in PLAIN:
                    return position
                continue
            elif character == '"':
                self._in_string = True
                continue
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
            else:
                self._plain = not self._depth
            if not self._depth and not self._in_string and not self._plain:
                return position + 1
        return None

    def _pass_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
