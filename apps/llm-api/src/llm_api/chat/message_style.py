"""The form of messages that a chat template reads (text or content parts, developer role), found by rendering probes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

Message = Mapping[str, Any]
Render = Callable[[Sequence[Message]], str]

_TEXT = {"role": "user", "content": "probe"}
_PARTS = [{"type": "text", "text": "first probe", "unread": "printed verbatim"}, {"type": "text", "text": "second probe"}]
_INSTRUCTED = [{"role": "developer", "content": "instruction"}, _TEXT]
_DEVELOPER = re.compile("""['"]developer['"]""")  # a template that names no role would write any, also one that the model does not know

# Conversations by the role of the message in parts.
_PROBES: dict[str, list[Message]] = {
    "user": [{"role": "user", "content": _PARTS}],
    "system": [{"role": "system", "content": _PARTS}, _TEXT],
    "assistant": [_TEXT, {"role": "assistant", "content": _PARTS}, _TEXT],
}


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """`takes_parts`: roles whose parts the template reads all. Some templates read the first one only."""

    takes_text: bool
    takes_parts: frozenset[str]
    takes_developer: bool

    @classmethod
    def of(cls, source: str, render: Render) -> Self:
        """`render` returns the template's text for messages, or an empty string where it fails."""
        takes_parts = frozenset(role for role in _PROBES if _reads_parts(role, render))
        takes_developer = _DEVELOPER.search(source) is not None and "instruction" in render(_INSTRUCTED)
        return cls("probe" in render([_TEXT]) or not takes_parts, takes_parts, takes_developer)

    def fit(self, messages: Sequence[Message]) -> list[Message]:
        return [{**message, "role": self._role(message["role"]), "content": self._content(message)} for message in messages]

    def _role(self, role: str) -> str:
        return "system" if role == "developer" and not self.takes_developer else role

    def _content(self, message: Message) -> str | Sequence[Mapping[str, Any]]:
        content: str | Sequence[Mapping[str, Any]] = message["content"]
        if not isinstance(content, str) and self._role(message["role"]) in self.takes_parts:
            return content
        text = content if isinstance(content, str) else "\n".join(part["text"] for part in content)
        return text if self.takes_text else [{"type": "text", "text": text}]


def _reads_parts(role: str, render: Render) -> bool:
    text = render(_PROBES[role])
    return "first probe" in text and "second probe" in text and "printed verbatim" not in text
