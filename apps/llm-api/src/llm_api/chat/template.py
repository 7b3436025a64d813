"""Messages to prompt text, by the chat template in the model's folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError

from llm_api.chat.message_style import Message, MessageStyle
from llm_api.chat.sandbox import compile_template, variables_of
from llm_api.chat.template_files import DEFAULT, UnusableTemplate, read_control_tokens, read_special_tokens, read_templates

END = "CONTINUE_FINAL_MESSAGE_TAG "  # as in transformers; the space at its end shows whether the template trims messages
GIVEN = frozenset({"messages", "tools", "documents", "add_generation_prompt"})
FOR_TOOLS = "tool_use"
REASONING = ("reasoning_content", "thinking", "reasoning")

# Exceptions of a template's expressions for messages that the template does not support.
RENDER_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)

_SAMPLE = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """`begins_answer`: the prompt ends with the beginning of an assistant's message. `continues`: it ends within the last message."""

    begins_answer: bool = True
    continues: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] | None = None  # for templates that read tools


BEGINS_ANSWER = PromptOptions()


class ChatTemplateError(Exception):
    """The template refuses the messages or fails on them, or the model has no template. The message is for the client."""


class ChatTemplate:
    """Safe to share between threads. Without a template in the folder, it refuses every message with a ChatTemplateError."""

    def __init__(self, model_path: Path) -> None:
        """Raises UnusableTemplate."""
        self._sources = {name: source for name, source in read_templates(model_path).items() if name in {DEFAULT, FOR_TOOLS}}
        self._templates = {name: _compiled(source) for name, source in self._sources.items()}
        self._special_tokens = read_special_tokens(model_path)
        self.variables = _variables(self._sources.values())
        self._style = MessageStyle.of(self._sources.get(DEFAULT, ""), self._try)
        self.configured_control_tokens = read_control_tokens(model_path)

    @property
    def reads_tools(self) -> bool:
        """Whether tools in a request become part of the prompt."""
        return any("tools" in variables_of(source) for source in self._sources.values())

    @property
    def exists(self) -> bool:
        return DEFAULT in self._templates

    @property
    def eos_token(self) -> str | None:
        """The text of the tokenizer's end-of-text token, which may be configured without a template."""
        return self._special_tokens.get("eos_token")

    def prompt(self, messages: Sequence[Message], options: PromptOptions = BEGINS_ANSWER) -> str:
        """The text up to where the model continues. Messages are first converted to the form that the template reads.

        Strings of control tokens in a message are unchanged: plain_text.py keeps them from becoming control tokens.
        """
        fitted = self._style.fit(messages)
        variables = {**options.variables, "tools": options.tools}
        if not options.continues:
            return self.render(fitted, add_generation_prompt=options.begins_answer, **variables)
        text, tag, rest = self.render([*fitted[:-1], _with_end(fitted[-1])], **variables).rpartition(END.rstrip())
        if not tag:
            raise ChatTemplateError("The model's chat template does not keep the last message as it is, so it cannot be continued.")
        return text if rest.startswith(" ") else text.rstrip()

    def conversation(self, messages: Sequence[Message]) -> str:
        """A chat as it is trained on: no answer begins at its end."""
        return self.render(self._style.fit(messages), add_generation_prompt=False)

    def sample(self) -> str:
        """A short rendered chat, which contains the template's markers; empty if the template fails on it."""
        return self._try(self._style.fit(_SAMPLE))

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self._sources.values())

    def written_text(self) -> str:
        """The template's source and a short chat that it renders: text that its markers are in."""
        return "\0".join([*self._sources.values(), self.sample()])

    def render(self, messages: Sequence[Message], **options: Any) -> str:
        """The result of transformers' `apply_chat_template(tokenize=False)`. `options` are variables of the template."""
        given = [_with_reasoning({key: value for key, value in message.items() if value is not None}) for message in messages]
        variables = self._special_tokens | {"tools": None, "documents": None, "add_generation_prompt": False} | options
        try:
            return self._template_for(options).render(messages=given, **variables)
        except RENDER_ERRORS as error:
            raise ChatTemplateError(f"The model's chat template cannot render these messages: {error}") from error

    def _template_for(self, options: Mapping[str, Any]) -> Template:
        name = FOR_TOOLS if options.get("tools") is not None and FOR_TOOLS in self._templates else DEFAULT
        if name not in self._templates:
            raise ChatTemplateError("This model has no chat template. Send the text as 'prompt' to /v1/completions instead.")
        return self._templates[name]

    def _try(self, messages: Sequence[Message]) -> str:
        try:
            return self.render(messages, add_generation_prompt=True)
        except ChatTemplateError:
            return ""


def _with_reasoning(message: Message) -> Message:
    """Templates read reasoning under one of two names, whichever the client used."""
    reasoning = next((message[name] for name in REASONING if name in message), None)
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _variables(sources: Iterable[str]) -> frozenset[str]:
    """What templates read besides the conversation and the tokens of the model, such as `enable_thinking`. Requests may set these."""
    names = frozenset(name for source in sources for name in variables_of(source))
    return frozenset(name for name in names - GIVEN if not name.endswith("_token"))


def _with_end(message: Message) -> Message:
    """The message with END after its text."""
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": content + END}
    return {**message, "content": [*content[:-1], {**content[-1], "text": content[-1]["text"] + END}]}


def _compiled(source: str) -> Template:
    try:
        return compile_template(source)
    except (TemplateError, SyntaxError, RecursionError) as error:  # SyntaxError: a `break` outside of a loop
        raise UnusableTemplate(f"the model's chat template is not valid: {error}") from error
