"""From a conversation to the tokens of its prompt, and which of the request's fields the chat template does not use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from llm_api.chat.control_tokens import control_tokens
from llm_api.chat.plain_text import PlainText, RenderedPrompt
from llm_api.chat.template import GIVEN, ChatTemplate, ChatTemplateError, PromptOptions
from llm_api.chat.tools.prompt import with_described_tools, with_written_calls
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_messages import Message
from llm_api.protocol.errors import InvalidRequest
from llm_api.service.chat_messages import keys_of, template_messages, template_tools
from llm_api.service.plan import check_text_length
from llm_api.tokenization.marked_prompt import MarkedPromptEncoder
from llm_api.tokenization.tokenizer import Tokenizer

MAX_NAME = 200
MAX_END = 200  # characters: more than a marker of reasoning has
Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class UnusedField:
    """A field that changes nothing, because this model's chat template does not read it. `reason` continues a sentence."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """`end`: the last characters of the rendered text."""

    token_ids: list[int]
    end: str


class ChatPrompts:
    """Rendering and encoding are slow for long texts. Threads may share it. Raises InvalidRequest if the model cannot take the request."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._control_tokens = control_tokens(tokenizer.special_tokens, tokenizer.added_tokens, template)
        self._plain_text = PlainText(self._control_tokens)
        self._reads_tools = template.reads_tools

    def prompt(self, request: ChatCompletionRequest, max_model_len: int) -> ChatPrompt:
        rendered = self._render(request)
        if request.truncate_prompt_tokens is None:
            check_text_length(self._tokenizer.least_tokens(rendered.text), max_model_len, "messages")
        token_ids = self._token_ids(rendered)
        if request.add_special_tokens:
            before, after = self._tokenizer.special_ids_around
            token_ids = [*before, *token_ids, *after]
        return ChatPrompt(token_ids, rendered.text[-MAX_END:])

    def _token_ids(self, rendered: RenderedPrompt) -> list[int]:
        if rendered.parts is None:
            return self._tokenizer.encode(rendered.text, add_special_tokens=False)
        return self._marked_encoder.encode(rendered.parts)

    def unused_fields(self, request: ChatCompletionRequest) -> list[UnusedField]:
        variables = [(name, path) for name, path in _variable_paths(request) if name not in self._template.variables]
        names = self._unused_names(request)
        return [
            *(UnusedField(path, f"this model's chat template has no {name}") for name, path in variables),
            *(UnusedField(f"messages[{at}].name", f"this model's chat template uses no name in a {role} message") for role, at in names),
        ]

    @cached_property
    def _marked_encoder(self) -> MarkedPromptEncoder:
        """Made for the first message that needs it, because it takes as much memory as the tokenizer."""
        return self._tokenizer.marked_encoder(self._control_tokens)

    def _render(self, request: ChatCompletionRequest) -> RenderedPrompt:
        tools = template_tools(request)
        options = self._options(request, tools if self._reads_tools else None)
        messages = template_messages(request)
        self._check_tools(request, tools, messages)
        fitted = messages if self._reads_tools else _with_text_for_tools(messages, tools)
        try:
            return self._plain_text.prompt(fitted, partial(self._template.prompt, options=options))
        except ChatTemplateError as error:
            raise InvalidRequest(str(error), param="messages") from error

    def _options(self, request: ChatCompletionRequest, tools: Tools | None) -> PromptOptions:
        variables = {name: value for name, value in request.template_variables.items() if name in self._template.variables}
        for name in GIVEN & request.template_variables.keys():
            field = f"chat_template_kwargs.{name}"
            raise InvalidRequest(f"'{field}' cannot be set; the service sets it.", param=field)
        if self._plain_text.has_control_token(variables):
            raise InvalidRequest("'chat_template_kwargs' has a control token of the model; leave it out.", param="chat_template_kwargs")
        continues = bool(request.continue_final_message)
        return PromptOptions(
            begins_answer=not continues and request.add_generation_prompt is not False,
            continues=continues,
            variables=variables,
            tools=tools,
        )

    def _check_tools(self, request: ChatCompletionRequest, tools: Tools | None, messages: Messages) -> None:
        """Definitions and keys cannot be protected in a rendered prompt as the texts of messages are."""
        if self._plain_text.has_control_token(tools):
            field = "tools" if request.tools else "functions"
            raise InvalidRequest(f"'{field}' has a control token of the model; leave it out.", param=field)
        for position, message in enumerate(messages):
            if self._plain_text.has_control_token([list(keys_of(call)) for call in message.get("tool_calls", ())]):
                path = f"messages[{position}].tool_calls"
                raise InvalidRequest(f"'{path}' has a control token of the model in the name of an argument; leave it out.", param=path)

    def _unused_names(self, request: ChatCompletionRequest) -> list[tuple[str, int]]:
        """Roles whose `name` the template ignores, each with its first message that has one: the prompt is then the same without it."""
        first_named = {message.role: at for at, message in reversed(list(enumerate(request.messages))) if _has_optional_name(message)}
        if not first_named:
            return []
        messages = template_messages(request)
        text = self._try(messages)
        return [
            (role, position)
            for role, position in first_named.items()
            if self._try([_nameless(message) if message["role"] == role else message for message in messages]) == text
        ]

    def _try(self, messages: Messages) -> str | None:
        try:
            return self._template.prompt(messages)
        except ChatTemplateError:  # the template requires the name, so it uses it
            return None


def _with_text_for_tools(messages: Messages, tools: Tools | None) -> Messages:
    """For a template that reads no tools."""
    return with_described_tools(messages, tools) if tools else with_written_calls(messages)


def _has_optional_name(message: Message) -> bool:
    """Results have the name of a function, which is part of their meaning."""
    return message.role not in {"tool", "function"} and message.name is not None


def _nameless(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "name"}


def _variable_paths(request: ChatCompletionRequest) -> Iterator[tuple[str, str]]:
    """The template's variables that a request sets, each with the path of its field."""
    given = request.chat_template_kwargs or {}
    for name in request.template_variables:
        yield name, f"chat_template_kwargs.{name}"[:MAX_NAME] if name in given else name
