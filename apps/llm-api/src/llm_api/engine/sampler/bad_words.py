"""Which tokens would complete a sequence of tokens that a completion must not have."""

from collections.abc import Sequence


class BadWords:
    """Finding them takes a time that depends on the number of different lengths, not on the number of words."""

    def __init__(self, words: Sequence[Sequence[int]]) -> None:
        """`words`: not empty, each of at least one token."""
        self._last_tokens: dict[tuple[int, ...], set[int]] = {}
        for *beginning, last in words:
            self._last_tokens.setdefault(tuple(beginning), set()).add(last)
        self._lengths = sorted({len(beginning) for beginning in self._last_tokens})

    def after(self, token_ids: Sequence[int], start: int) -> list[int]:
        """The tokens that must not follow `token_ids`, of which the completion begins at `start`."""
        end = len(token_ids)
        beginnings = (tuple(token_ids[end - length :]) for length in self._lengths if length <= end - start)
        return sorted({token for beginning in beginnings for token in self._last_tokens.get(beginning, ())})
