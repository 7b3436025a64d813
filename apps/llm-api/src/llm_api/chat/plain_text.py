"""Keeps what people wrote from acting as the model's control tokens: `<|im_end|>` in a message is ten characters of text."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

MARKS = tuple(map(chr, range(0xE000, 0xF900)))  # Unicode's private use area
OURS = frozenset({"role", "type"})  # never free text


class PlainText:
    """Splits the strings of special tokens within messages, so that no template and no tokenizer sees one.

    The text that a template makes of marked messages is encoded in the parts between the marks.
    """

    def __init__(self, special_tokens: Collection[str]) -> None:
        longest_first = sorted((token for token in special_tokens if len(token) > 1), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def mark(self, messages: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """The messages, and the mark that splits special tokens in them; None where they hold none."""
        text = "\n".join(_strings(messages))
        if self._special is None or not self._special.search(text):
            return messages, None
        mark = next((mark for mark in MARKS if mark not in text), MARKS[-1])
        return [self._marked(message, mark) for message in messages], mark

    def _marked(self, value: Any, mark: str) -> Any:
        if isinstance(value, str):
            return self._special.sub(lambda found: found[0][0] + mark + found[0][1:], value) if self._special else value
        if isinstance(value, Mapping):
            return {key: item if key in OURS else self._marked(item, mark) for key, item in value.items()}
        return [self._marked(item, mark) for item in value] if isinstance(value, list | tuple) else value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)
