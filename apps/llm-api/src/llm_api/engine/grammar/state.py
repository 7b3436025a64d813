"""Where a sequence is in its request's grammar."""

from llguidance import LLMatcher

NO_EXTENSION = "NoExtensionBias"  # llguidance's name of a dead end


class GrammarState:
    """A sequence keeps it over preemptions, because its tokens stay the same."""

    def __init__(self, matcher: LLMatcher) -> None:
        self.matcher = matcher

    @property
    def error(self) -> str | None:
        """One line, once the grammar cannot be followed any more. Empty if it has no further text, else a limit of the matcher."""
        if not self.matcher.is_error():
            return None
        error = first_line(self.matcher.get_error())
        return "" if error == NO_EXTENSION else error

    def accept(self, token_id: int) -> None:
        """Advances by a token that the mask allowed."""
        self.matcher.consume_token(token_id)


def first_line(message: str) -> str:
    return next(iter(message.strip().splitlines()), "unknown error").strip()
