"""Finds where a JSON object ends, in pieces of text."""


class JsonEnd:
    """For one object that is known to be valid."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = False

    def find(self, piece: str) -> int | None:
        """The position after the object's last character, if it is in this piece. The next piece continues."""
        for position, character in enumerate(piece):
            if self._in_string:
                self._pass_string(character)
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if not self._depth:
                    return position + 1
        return None

    def _pass_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
