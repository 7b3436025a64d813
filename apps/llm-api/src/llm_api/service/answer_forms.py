"""The form that a request holds its answer to: JSON, calls of functions, any grammar. Checked before the engine gets it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llguidance.gbnf_to_lark import any_to_lark
from pydantic_core import from_json

from llm_api.chat.tools.call_format import CallFormat, call_rules
from llm_api.grammar.checker import CheckerFailed, GrammarChecker
from llm_api.grammar.json_schema import SchemaRefused, blamed, schema_expression
from llm_api.grammar.lark import any_of, fixed_text, grammar, nested, regex
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import InvalidRequest, Unavailable
from llm_api.protocol.structured_output import JsonObjectFormat, JsonSchemaFormat, StructuredOutputs
from llm_api.protocol.tools import CallRule

OBJECT: Mapping[str, Any] = {"type": "object"}
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """A grammar's first expression, and the rules that it needs."""

    start: str
    rules: Mapping[str, str] = field(default_factory=dict)

    def grammar(self) -> str:
        return grammar(self.start, self.rules)


@dataclass(frozen=True, slots=True)
class _Form:
    """`param`: the field that asks for it. `schema`: the JSON schema in that field, if it is one."""

    expression: str
    param: str
    schema: Any = None


class AnswerForms:
    """Its process is started for the first request that needs it."""

    def __init__(self, call_format: CallFormat | None, tokens: Mapping[str, int]) -> None:
        """`call_format`: how the model calls functions; None: requests with functions are refused. `tokens`: ids of special tokens."""
        self._checker = GrammarChecker()
        self._call_format = call_format
        self._tokens = tokens

    async def of_chat(self, request: ChatCompletionRequest) -> AnswerForm | None:
        """None: any text. Raises InvalidRequest."""
        rule = request.call_rule
        expression = await self._text_of_chat(request)
        if rule is None:
            return AnswerForm(expression) if expression else None
        if self._call_format is None:
            raise _refusal("tools", "is not supported: this server was started with TOOL_PARSER=none")
        return await self._with_calls(rule, self._call_format, expression)

    async def of_completion(self, request: CompletionRequest) -> AnswerForm | None:
        """None: any text. Raises InvalidRequest."""
        expression = await self._structured(request.structured_outputs)
        return AnswerForm(expression) if expression else None

    async def _text_of_chat(self, request: ChatCompletionRequest) -> str | None:
        match request.response_format:
            case JsonObjectFormat():
                return schema_expression(OBJECT)
            case JsonSchemaFormat(json_schema=schema):
                param = "response_format.json_schema.schema"
                return await self._checked_schema({} if schema.schema_ is None else schema.schema_, param)
        return await self._structured(request.structured_outputs)

    async def _with_calls(self, rule: CallRule, call_format: CallFormat, text: str | None) -> AnswerForm:
        """Calls of functions, or, in the mode auto, a text."""
        forms = [
            await asyncio.to_thread(self._arguments_form, call_format, function.parameters, path)
            for function, path in zip(rule.functions, rule.paths, strict=True)
        ]
        arguments = {function.name: form.expression for function, form in zip(rule.functions, forms, strict=True)}
        may_answer = text is not None and rule.mode == "auto"
        start, rules = call_rules(call_format, arguments, self._tokens, "required" if may_answer else rule.mode, rule.parallel)
        marker = fixed_text(call_format.before_text, self._tokens)
        answer = AnswerForm(f"{start} | {marker} {text}" if may_answer else start, rules)
        if error := await self._error(answer.grammar()):
            for form in forms:  # the schema that is at fault by itself, if one is
                await self._checked(form)
            raise _refusal("tools" if rule.paths[0].startswith("tools") else "functions", _reason(error))
        return answer

    def _arguments_form(self, call_format: CallFormat, parameters: Mapping[str, Any] | None, param: str) -> _Form:
        try:
            return _Form(call_format.arguments(parameters, self._tokens), param, parameters)
        except SchemaRefused as error:
            raise _refusal(param + error.path, str(error)) from error

    async def _checked_schema(self, schema: Mapping[str, Any] | bool, param: str) -> str:
        return await self._checked(await asyncio.to_thread(_schema_form, schema, param))

    async def stop(self) -> None:
        await self._checker.stop()

    async def _structured(self, outputs: StructuredOutputs | None) -> str | None:
        if outputs is None:
            return None
        return await self._checked(await asyncio.to_thread(_structured_form, outputs))

    async def _checked(self, form: _Form) -> str:
        if error := await self._error(grammar(form.expression)):
            raise _refusal(form.param + blamed(form.schema, error), _reason(error))
        return form.expression

    async def _error(self, text: str) -> str:
        try:
            return await self._checker.error(text)
        except CheckerFailed as error:
            raise Unavailable(f"The form of the answer could not be checked: its process {error}; try again.") from error


def _structured_form(outputs: StructuredOutputs) -> _Form:
    if outputs.json_ is not None:
        schema = outputs.json_
        param = "structured_outputs.json"
        whitespace = "" if outputs.disable_any_whitespace else outputs.whitespace_pattern
        return _schema_form(_parsed(schema, param) if isinstance(schema, str) else schema, param, whitespace)
    if outputs.regex is not None:
        return _Form(regex(outputs.regex), "structured_outputs.regex")
    if outputs.choice is not None:
        return _Form(any_of(outputs.choice), "structured_outputs.choice")
    if outputs.grammar is not None:
        return _grammar_form(outputs.grammar, "structured_outputs.grammar")
    return _Form(schema_expression(OBJECT), "structured_outputs.json_object")


def _grammar_form(text: str, param: str) -> _Form:
    try:
        return _Form(nested(any_to_lark(text)), param)
    except Exception as error:  # the converter raises whatever its parser meets
        raise _refusal(param, f"cannot be read: {error}") from error


def _schema_form(schema: Any, param: str, whitespace: str | None = None) -> _Form:
    try:
        return _Form(schema_expression(schema, whitespace), param, schema)
    except SchemaRefused as error:
        raise _refusal(param + error.path, str(error)) from error


def _parsed(text: str, param: str) -> Any:
    try:
        schema = from_json(text)
    except ValueError as error:
        raise _refusal(param, f"is not JSON: {error}") from error
    if not isinstance(schema, dict | bool):
        raise _refusal(param, "is not a JSON schema: it must be an object")
    return schema


def _reason(error: str) -> str:
    """The compiler's message without the grammar's text, which the client did not write."""
    first = error.strip().splitlines()[0] if error.strip() else error
    for prefix in ("failed to compile JSON schema: ", "at 1(8): "):
        first = first.partition(prefix)[2] or first
    return first if first.startswith(("takes", "is larger")) else f"cannot be held: {first}"


def _refusal(param: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"'{param}' {reason[:MAX_REASON]}", param=param)
