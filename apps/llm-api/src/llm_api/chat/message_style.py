"""The form of messages that a chat template reads (text or content parts, developer role), found by rendering probes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessageStyle:
    takes_text: bool
    takes_parts: bool
    takes_developer: bool

    @classmethod
    def of(cls, source: str, render: Callable[[Sequence[Message]], str]) -> Self:
        """`render` returns the template's text for messages, or an empty string where it fails."""
        with_text = render([{"role": "user", "content": "probe"}])
        with_parts = render([{"role": "user", "content": [{"type": "text", "text": "probe", "unread": "printed verbatim"}]}])
        takes_parts = "probe" in with_parts and "printed verbatim" not in with_parts
        return cls("probe" in with_text or not takes_parts, takes_parts, "developer" in source)

    def fit(self, messages: Sequence[Message]) -> list[Message]:
        return [{**message, "role": self._role(message["role"]), "content": self._content(message["content"])} for message in messages]

    def _role(self, role: str) -> str:
        return "system" if role == "developer" and not self.takes_developer else role

    def _content(self, content: str | Sequence[Mapping[str, Any]]) -> str | Sequence[Mapping[str, Any]]:
        if isinstance(content, str):
            return content if self.takes_text else [{"type": "text", "text": content}]
        return content if self.takes_parts else "\n".join(part["text"] for part in content)
