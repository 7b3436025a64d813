"""Chat completions: the request."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic.config import JsonDict

from llm_api.protocol.chat_messages import Message
from llm_api.protocol.fields import WHOLE, Ineffective, IneffectiveTrue, KeptTokens, Unsupported, invalid, only_with
from llm_api.protocol.request import PROMPT_LOGPROBS_NEED_A_WHOLE_ANSWER, STREAM_OPTIONS_NEED_STREAM, GenerationRequest
from llm_api.protocol.structured_output import ResponseFormat
from llm_api.protocol.tools import (
    AllowedToolsChoice,
    CallRule,
    FunctionChoice,
    FunctionDefinition,
    FunctionReference,
    Functions,
    NamedTool,
    ToolChoice,
    Tools,
)

QUESTION: JsonDict = {"role": "user", "content": "What is Kubernetes?"}


class ChatCompletionRequest(GenerationRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "smollm2-135m-instruct", "messages": [QUESTION]},
                {"model": "smollm2-135m-instruct", "messages": [QUESTION], "stream": True, "stream_options": {"include_usage": True}},
            ],
            "allOf": [STREAM_OPTIONS_NEED_STREAM, PROMPT_LOGPROBS_NEED_A_WHOLE_ANSWER, only_with("top_logprobs", "integer", "logprobs")],
        }
    )

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    max_tokens: KeptTokens | None = None
    """Older name of max_completion_tokens, which takes precedence. -1 means as many as fit."""
    max_completion_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    """Needs logprobs."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """Needs a model whose chat template has it."""
    enable_thinking: bool | None = None
    """Needs a model whose chat template has it. Not in OpenAI's API."""
    include_reasoning: bool | None = None
    """False leaves the model's reasoning out of the answer. Not in OpenAI's API."""
    chat_template_kwargs: Annotated[dict[str, JsonValue], Field(max_length=32)] | None = None
    """Variables of the model's chat template. Not in OpenAI's API."""
    add_generation_prompt: bool | None = None
    """False leaves out the beginning of the assistant's message. Not in OpenAI's API."""
    continue_final_message: bool | None = None
    """Continue the last message, which must be the assistant's, instead of answering it. Not in OpenAI's API."""
    store: IneffectiveTrue | None = None
    """Accepted, without effect."""
    parallel_tool_calls: bool | None = None
    """False allows at most one call in an answer."""
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"] | None = None
    """Accepted, without effect."""
    response_format: ResponseFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1, fail_fast=True)] | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None  # after `tools`, so that an error is about the cause
    functions: Functions | None = None
    """Older name of tools."""
    function_call: FunctionChoice | None = None
    """Older name of tool_choice."""
    audio: Unsupported = None
    web_search_options: Unsupported = None
    prediction: Ineffective = None
    verbosity: Ineffective = None
    moderation: Ineffective = None
    prompt_cache_options: Ineffective = None

    @model_validator(mode="after")
    def _top_logprobs_need_logprobs(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise invalid("top_logprobs", "is only allowed when 'logprobs' is true")
        return self

    @model_validator(mode="after")
    def _tools_fit_the_choice(self) -> Self:
        if self.tools and self.functions:
            raise invalid("functions", "excludes 'tools', its newer name")
        field, choice = ("function_call", self.function_call) if self.functions else ("tool_choice", self.tool_choice)
        known = [function.name for function in self.offered_functions]
        if repeated := next((name for name in known if known.count(name) > 1), None):
            raise invalid("tools" if self.tools else "functions", f"has two functions with the name {repeated!r}")
        if not known and choice not in (None, "none", "auto"):
            raise invalid(field, "is only allowed when 'tools' are given")
        if unknown := next((name for name in _chosen(choice) if known and name not in known), None):
            raise invalid(field, f"names the function {unknown!r}, which 'tools' does not have")
        return self

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.structured_outputs is not None and self.response_format is not None and self.response_format.type != "text":
            raise invalid("structured_outputs", "excludes 'response_format'")
        return self

    @model_validator(mode="after")
    def _last_message_can_be_continued(self) -> Self:
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise invalid("continue_final_message", "needs a last message of the role assistant")
        if self.continue_final_message and self.add_generation_prompt:
            raise invalid("continue_final_message", "excludes 'add_generation_prompt'")
        return self

    @property
    def offered_functions(self) -> list[FunctionDefinition]:
        return [tool.function for tool in self.tools or ()] or list(self.functions or ())

    @property
    def call_rule(self) -> CallRule | None:
        """None: the answer calls no function."""
        choice = self.function_call if self.functions else self.tool_choice
        functions = self.offered_functions
        if not functions or choice == "none":
            return None
        prefix = "tools[{}].function.parameters" if self.tools else "functions[{}].parameters"
        chosen = _chosen(choice)
        allowed = [(function, prefix.format(index)) for index, function in enumerate(functions) if not chosen or function.name in chosen]
        return CallRule(
            mode=_mode(choice),
            functions=tuple(function for function, _ in allowed),
            paths=tuple(path for _, path in allowed),
            parallel=self.parallel_tool_calls is not False and not self.functions,
        )

    @property
    def template_variables(self) -> dict[str, JsonValue]:
        """Variables of the model's chat template."""
        fields = {"reasoning_effort": self.reasoning_effort, "enable_thinking": self.enable_thinking}
        return {name: value for name, value in fields.items() if value is not None} | (self.chat_template_kwargs or {})

    @property
    def token_limit(self) -> int | None:
        """The maximum number of completion tokens. None means as many as fit into the context."""
        limit = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return None if limit == -1 else limit


def _chosen(choice: ToolChoice | FunctionChoice | None) -> list[str]:
    """The functions that a choice is limited to; empty if it is not limited."""
    match choice:
        case NamedTool(function=function):
            return [function.name]
        case FunctionReference(name=name):
            return [name]
        case AllowedToolsChoice(allowed_tools=allowed):
            return [tool.function.name for tool in allowed.tools]
    return []


def _mode(choice: ToolChoice | FunctionChoice | None) -> Literal["auto", "required", "named"]:
    match choice:
        case NamedTool() | FunctionReference():
            return "named"
        case AllowedToolsChoice(allowed_tools=allowed):
            return allowed.mode
        case "required":
            return "required"
    return "auto"
