"""Messages to prompt text, by the chat template in the model's folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError

from llm_api.chat.message_style import Message, MessageStyle
from llm_api.chat.sandbox import compile_template
from llm_api.refusal import Refusal

# Exceptions of a template's expressions for messages that the template does not support.
RENDER_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

_SAMPLE = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})


class ChatTemplateError(Exception):
    """The template refuses the messages or fails on them, or the model has no template. The message is for the client."""


class UnusableTemplate(Refusal):
    """A file of the template is broken."""


class ChatTemplate:
    """Safe to share between threads. Without a template in the folder, it refuses every message with a ChatTemplateError."""

    def __init__(self, model_path: Path) -> None:
        """Raises UnusableTemplate."""
        source = _read_template(model_path)
        self._special_tokens = _read_special_tokens(model_path)
        self._template = None if source is None else _compiled(source)
        self._style = MessageStyle.of(source or "", self._try)

    @property
    def exists(self) -> bool:
        return self._template is not None

    @property
    def eos_token(self) -> str | None:
        """The text of the tokenizer's end-of-text token, which may be configured without a template."""
        return self._special_tokens.get("eos_token")

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text up to where the assistant's answer begins. Messages are first converted to the form that the template reads.

        Strings of special tokens in a message are unchanged: plain_text.py keeps them from becoming special tokens.
        """
        return self.render(self._style.fit(messages), add_generation_prompt=True)

    def conversation(self, messages: Sequence[Message]) -> str:
        """A chat as it is trained on: no answer begins at its end."""
        return self.render(self._style.fit(messages), add_generation_prompt=False)

    def sample(self) -> str:
        """A short rendered chat, which contains the template's markers; empty if the template fails on it."""
        return self._try(self._style.fit(_SAMPLE))

    def render(self, messages: Sequence[Message], **options: Any) -> str:
        """The result of transformers' `apply_chat_template(tokenize=False)`. `options` are variables of the template."""
        if self._template is None:
            raise ChatTemplateError("This model has no chat template. Send the text as 'prompt' to /v1/completions instead.")
        given = [{key: value for key, value in message.items() if value is not None} for message in messages]
        variables = self._special_tokens | {"tools": None, "documents": None, "add_generation_prompt": False} | options
        try:
            return self._template.render(messages=given, **variables)
        except RENDER_ERRORS as error:
            raise ChatTemplateError(f"The model's chat template cannot render these messages: {error}") from error

    def _try(self, messages: Sequence[Message]) -> str:
        try:
            return self.render(messages, add_generation_prompt=True)
        except ChatTemplateError:
            return ""


def _compiled(source: str) -> Template:
    try:
        return compile_template(source)
    except TemplateError as error:
        raise UnusableTemplate(f"the model's chat template is not valid: {error}") from error


def _read_template(model_path: Path) -> str | None:
    """The default template. Template files take precedence over tokenizer_config.json; templates of other names are for tools."""
    more = model_path / "additional_chat_templates"
    for file in (model_path / "chat_template.jinja", more / "default.jinja"):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    if any(more.glob("*.jinja")):
        return None
    configured: Any = _read_json(model_path / "tokenizer_config.json").get("chat_template") or []
    if isinstance(configured, str):
        return configured
    return next((item["template"] for item in configured if item["name"] == "default"), None)


def _read_special_tokens(model_path: Path) -> dict[str, str]:
    """The variables `bos_token`, `eos_token` and so on, which templates may write."""
    config = _read_json(model_path / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:  # like transformers, which reads the older file only in this case
        config |= _read_json(model_path / "special_tokens_map.json")
    extra = config.get("extra_special_tokens")
    named = {name: value for name, value in config.items() if name.endswith("_token")} | (extra if isinstance(extra, dict) else {})
    contents = {name: value["content"] if isinstance(value, dict) else value for name, value in named.items()}
    return {name: content for name, content in contents.items() if isinstance(content, str)}


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return dict(content)
    except (ValueError, TypeError) as error:
        raise UnusableTemplate(f"{path} is not a JSON object: {error}") from error
