"""Control tokens in messages are treated as plain text: `<|im_end|>` in a message is text, not the token."""

import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llm_api.chat.message_style import Message

_NOTHING = r"(?!)"  # matches nowhere
KEPT = frozenset({"role", "type"})  # keys of messages and parts whose values are not free text
ARGUMENTS = "arguments"  # of a call: an object, whose keys the client invents

Render = Callable[[Sequence[Message]], str]
Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """`parts`: plain text, a control token, plain text, and so on. None where every control token in the text is the template's."""

    text: str
    parts: Sequence[str] | None = None


class PlainText:
    """Compares rendered prompts, because a template may join, trim and replace text so that a control token appears only then."""

    def __init__(self, control_tokens: Collection[str]) -> None:
        tokens = {token for token in control_tokens if len(token) > 1}
        token, beginning = (_any_of(tokens), _any_of({token[0] for token in tokens})) if tokens else (_NOTHING, _NOTHING)
        nonce = str(secrets.randbelow(10**20)).zfill(20)  # no filter of a template changes digits, and no client can guess them
        self._begin, self._end, self._mark = nonce + "1", nonce + "2", nonce + "3"
        self._token, self._beginning = re.compile(f"({token})"), re.compile(beginning)
        self._enclosed = re.compile(f"{self._begin}({token}){self._end}")
        self._any_mark = re.compile(f"{nonce}[123]")

    def has_control_token(self, value: Any) -> bool:
        """Whether a string in the value, or a key, contains one."""
        return any(map(self._token.search, _strings(value, with_keys=True)))

    def prompt(self, messages: Sequence[Message], render: Render) -> RenderedPrompt:
        prompt = render(messages)
        if not any(map(self._beginning.search, _strings(messages))):
            return RenderedPrompt(prompt)
        own = self._token.findall(render(_changed(messages, partial(self._beginning.sub, self._mark))))
        if self._token.findall(prompt) == own:
            return RenderedPrompt(prompt)
        parts = self._with_enclosed_tokens(messages, render)
        if parts[1::2] != own or "".join(parts) != prompt:
            parts = self._with_marked_beginnings(messages, render)
        return RenderedPrompt("".join(parts), parts)

    def _with_enclosed_tokens(self, messages: Sequence[Message], render: Render) -> list[str]:
        """Marks around each control token of a message. A template can still read the token, such as the end of a thought."""
        text = render(_changed(messages, partial(self._token.sub, rf"{self._begin}\g<1>{self._end}")))
        return self._parts(self._enclosed.sub(lambda token: token[1][0] + self._mark + token[1][1:], text))

    def _with_marked_beginnings(self, messages: Sequence[Message], render: Render) -> list[str]:
        """A mark in all that may begin a control token, so that the template cannot make one of pieces."""
        return self._parts(render(_changed(messages, partial(self._beginning.sub, rf"\g<0>{self._mark}"))))

    def _parts(self, marked: str) -> list[str]:
        return [self._any_mark.sub("", part) for part in self._token.split(marked)]


def _changed(value: Any, change: Change, kept: frozenset[str] = KEPT) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        inner = {key: kept if key != ARGUMENTS else frozenset[str]() for key in value}
        return {key: item if key in kept else _changed(item, change, inner[key]) for key, item in value.items()}
    return [_changed(item, change, kept) for item in value] if isinstance(value, list | tuple) else value


def _strings(value: Any, with_keys: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item, with_keys)
        if with_keys and isinstance(value, dict):
            yield from value


def _any_of(tokens: Collection[str]) -> str:
    """A pattern that matches the longest token at a position. It branches by character: vocabularies have a thousand, texts megabytes."""
    rests = defaultdict(set)
    for token in filter(None, tokens):
        rests[token[0]].add(token[1:])
    branches = "|".join(re.escape(first) + (_any_of(rest) if rest != {""} else "") for first, rest in rests.items())
    return f"(?:{branches}){'?' if '' in tokens else ''}"
