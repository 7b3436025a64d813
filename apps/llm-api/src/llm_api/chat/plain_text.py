"""Control tokens in messages are treated as plain text: `<|im_end|>` in a message is ten characters, not the token."""

import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llm_api.chat.message_style import Message

KEPT = frozenset({"role", "type"})  # keys whose values are not free text

Render = Callable[[Sequence[Message]], str]
Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """`parts`: plain text, a control token, plain text, and so on. None where every control token in the text is the template's."""

    text: str
    parts: Sequence[str] | None = None


class PlainText:
    """Compares rendered prompts, because a template may join, trim and replace text so that a control token appears only then."""

    def __init__(self, control_tokens: Collection[str], render: Render) -> None:
        tokens = {token for token in control_tokens if len(token) > 1}
        any_token = _any_of(tokens) if tokens else r"(?!)"
        self._tokens = re.compile(f"({any_token})")
        self._starts = re.compile(f"(?=({any_token}))(?s:.)")
        self._beginnings = re.compile(f"[{re.escape(''.join(sorted({token[0] for token in tokens})))}]" if tokens else r"(?!)")
        self._mark = str(secrets.randbelow(10**20)).zfill(20)  # no filter of a template changes digits, and no client can guess them
        self._render = render

    def prompt(self, messages: Sequence[Message]) -> RenderedPrompt:
        prompt = self._render(messages)
        if not any(map(self._beginnings.search, _strings(messages))):
            return RenderedPrompt(prompt)
        own = self._tokens.findall(self._changed(messages, partial(self._beginnings.sub, self._mark)))
        if self._tokens.findall(prompt) == own:
            return RenderedPrompt(prompt)
        parts = self._marked(messages, self._starts)
        if parts[1::2] != own or "".join(parts) != prompt:  # the template makes control tokens of pieces, or reads them
            parts = self._marked(messages, self._beginnings)
        return RenderedPrompt("".join(parts), parts)

    def _marked(self, messages: Sequence[Message], places: re.Pattern[str]) -> list[str]:
        """The parts of the prompt where a mark after each place in the messages keeps it from beginning a control token."""
        marked = self._changed(messages, partial(places.sub, lambda place: place[0] + self._mark))
        return [part.replace(self._mark, "") for part in self._tokens.split(marked)]

    def _changed(self, messages: Sequence[Message], change: Change) -> str:
        return self._render([_changed(message, change) for message in messages])


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: item if key in KEPT else _changed(item, change) for key, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list | tuple) else value


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
