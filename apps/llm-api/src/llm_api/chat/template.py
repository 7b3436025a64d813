"""Messages to prompt text, by the chat template that came with the model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError

from llm_api.chat.errors import ChatTemplateError
from llm_api.chat.message_style import Message, MessageStyle
from llm_api.chat.sandbox import compile_template
from llm_api.chat.sources import read_special_tokens, read_templates

# What a template's own expressions raise on messages that it was not written for.
RENDER_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

_SAMPLE = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})


class ChatTemplate:
    """Safe to share between threads. A folder without a template has one that refuses every message, saying so."""

    def __init__(self, model_path: Path) -> None:
        sources = read_templates(model_path)
        self._special_tokens = read_special_tokens(model_path)
        self._templates = {name: _compiled(name, source) for name, source in sources.items()}
        self._style = MessageStyle.of(sources.get("default", ""), self._try)

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text after which the assistant's answer begins. Messages are first put into the form that the template takes.

        Strings of special tokens within a message stay as they are: plain_text.py keeps them from being read as such.
        """
        return self.render(self._style.fit(messages), add_generation_prompt=True)

    def sample(self) -> str:
        """A short chat, which shows the markers that the template writes; nothing where it takes none."""
        return self._try(self._style.fit(_SAMPLE))

    def render(self, messages: Sequence[Message], *, tools: Sequence[Mapping[str, Any]] | None = None, **options: Any) -> str:
        """What transformers' `apply_chat_template(tokenize=False)` gives. `options` are the template's own variables."""
        given = [{key: value for key, value in message.items() if value is not None} for message in messages]
        variables = self._special_tokens | {"documents": None, "add_generation_prompt": False} | options
        try:
            return self._select(tools).render(messages=given, tools=tools, **variables)
        except RENDER_ERRORS as error:
            raise ChatTemplateError(f"The model's chat template cannot take these messages: {error}") from error

    def _select(self, tools: Sequence[Mapping[str, Any]] | None) -> Template:
        template = self._templates.get("tool_use") if tools is not None else None
        template = template or self._templates.get("default")
        if template is None:
            raise ChatTemplateError("This model has no chat template. Send the text as 'prompt' to /v1/completions instead.")
        return template

    def _try(self, messages: Sequence[Message]) -> str:
        try:
            return self.render(messages, add_generation_prompt=True)
        except ChatTemplateError:
            return ""


def _compiled(name: str, source: str) -> Template:
    try:
        return compile_template(source)
    except TemplateError as error:
        raise ChatTemplateError(f"The model's chat template {name!r} is no valid template: {error}") from error
