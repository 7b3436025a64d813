"""Special tokens in messages are treated as plain text: `<|im_end|>` in a message is ten characters, not the token."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from llm_api.chat.message_style import Message

MARKS = tuple(map(chr, range(0xE000, 0xF900)))  # Unicode's private use area
KEPT = frozenset({"role", "type"})  # keys whose values are not free text

Render = Callable[[Sequence[Message]], str]


class PlainText:
    """Compares rendered prompts, because a template may join, trim and replace text so that a special token appears only then."""

    def __init__(self, special_tokens: Collection[str], render: Render) -> None:
        tokens = {token for token in special_tokens if len(token) > 1}
        self._beginnings = {token[0] for token in tokens}
        self._tokens = re.compile(_any_of(tokens) if tokens else r"(?!)")
        self._render = render

    def parts(self, messages: Sequence[Message]) -> list[str]:
        """The prompt in parts that must be encoded separately. There is one part unless the messages contain special tokens."""
        prompt = self._render(messages)
        if not any(beginning in text for text in _strings(messages) for beginning in self._beginnings):
            return [prompt]
        mark = next((mark for mark in MARKS if mark not in prompt), MARKS[-1])
        without = self._render(self._changed(messages, dict.fromkeys(self._beginnings, mark)))
        if self._tokens.findall(prompt) == self._tokens.findall(without):
            return [prompt]
        return self._render(self._changed(messages, {beginning: beginning + mark for beginning in self._beginnings})).split(mark)

    def _changed(self, messages: Sequence[Message], characters: dict[str, str]) -> list[Message]:
        table = str.maketrans(characters)
        return [{key: _translated(value, table) if key not in KEPT else value for key, value in message.items()} for message in messages]


def _translated(value: Any, table: dict[int, str]) -> Any:
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, dict):
        return {key: _translated(item, table) if key not in KEPT else item for key, item in value.items()}
    return [_translated(item, table) for item in value] if isinstance(value, list | tuple) else value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _any_of(tokens: Collection[str]) -> str:
    """A pattern that matches the longest token at a position. It branches by character: vocabularies have a thousand, texts megabytes."""
    rests = defaultdict(set)
    for token in filter(None, tokens):
        rests[token[0]].add(token[1:])
    branches = "|".join(re.escape(first) + (_any_of(rest) if rest != {""} else "") for first, rest in rests.items())
    return f"(?:{branches}){'?' if '' in tokens else ''}"
