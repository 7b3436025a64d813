"""Where a sequence is in its request's grammar."""

from llguidance import LLMatcher


class GrammarState:
    """A sequence keeps it over preemptions, because its tokens stay the same."""

    def __init__(self, matcher: LLMatcher) -> None:
        self.matcher = matcher

    @property
    def error(self) -> str | None:
        """One line, once the grammar cannot be followed any more: a limit of the matcher was reached."""
        return first_line(self.matcher.get_error()) if self.matcher.is_error() else None

    def accept(self, token_id: int) -> None:
        """Advances by a token that the mask allowed."""
        self.matcher.consume_token(token_id)


def first_line(message: str) -> str:
    return next(iter(message.strip().splitlines()), "unknown error").strip()
