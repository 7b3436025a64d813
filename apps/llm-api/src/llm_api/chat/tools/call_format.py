"""How a model writes a call: fixed text around the function's name and its arguments."""

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from llm_api.chat.output.reasoning_formats import ReasoningFormat
from llm_api.chat.tools.arguments import ArgumentsReader, JsonArguments
from llm_api.chat.tools.keyed.grammar import keyed_expression
from llm_api.chat.tools.keyed.parameters import parameters_of
from llm_api.chat.tools.keyed.reader import KeyedArguments
from llm_api.chat.tools.keyed.style import KeyedStyle
from llm_api.grammar.json_schema import schema_expression
from llm_api.grammar.lark import ANY_TEXT, fixed_text

LETTERS = string.ascii_letters + string.digits
NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
OPEN = {"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf"}  # may declare more than `properties`


@dataclass(frozen=True, slots=True)
class CallFormat:
    """An answer's calls are: opening, call, between, call ... closing. A call is: before_name NAME before_arguments ARGUMENTS
    after_arguments.

    evidence: texts that are all in the chat template of a model that writes this format.
    trigger: what begins a call. Once a model has written it, the rest is held to the format.
    only_at_start: the trigger begins a call only where it begins the answer.
    between: None for formats with one call in an answer.
    keyed: how the arguments are written; None: as a JSON object.
    before_text: what begins an answer without calls.
    reasoning: how the model marks its reasoning where calls may follow, if that differs from other answers.
    """

    name: str
    evidence: tuple[str, ...]
    trigger: str
    before_name: str
    before_arguments: str
    after_arguments: str
    opening: str = ""
    between: str | None = ""
    closing: str = ""
    only_at_start: bool = False
    short_ids: bool = False
    keyed: KeyedStyle | None = None
    before_text: str = ""
    reasoning: ReasoningFormat | None = None

    @property
    def beginning(self) -> str:
        """The text before the name of the first call."""
        return self.opening + self.before_name

    @property
    def texts(self) -> tuple[str, ...]:
        around = (self.beginning, self.before_arguments, self.after_arguments, self.between or "", self.closing)
        return (*around, self.before_text, *(self.keyed.texts if self.keyed else ()))

    def arguments(self, parameters: Mapping[str, Any] | None, tokens: Mapping[str, int]) -> str:
        """The Lark expression of arguments that are valid under a function's schema. `tokens`: as in `call_rules`. Raises SchemaRefused."""
        schema = arguments_schema(parameters)
        return keyed_expression(parameters_of(schema, self.keyed), self.keyed, tokens) if self.keyed else schema_expression(schema)

    def reader(self, parameters: Mapping[str, Any] | None) -> ArgumentsReader:
        """For the arguments of one call."""
        if self.keyed is None:
            return JsonArguments()
        return KeyedArguments(parameters_of(arguments_schema(parameters), self.keyed), self.keyed, self.after_arguments)

    def new_id(self) -> str:
        """Mistral's templates ask for nine letters and digits."""
        if self.short_ids:
            return "".join(secrets.choice(LETTERS) for _ in range(9))
        return "call_" + secrets.token_hex(12)


def arguments_schema(parameters: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Arguments are always an object. Functions take no others than they declare, which many schemas do not say."""
    if not parameters:
        return NO_ARGUMENTS
    if "$ref" in parameters:
        return parameters
    closed = {} if OPEN & parameters.keys() else {"additionalProperties": False}
    return {"type": "object", **closed, **parameters}


def call_rules(
    call_format: CallFormat, arguments: Mapping[str, str], tokens: Mapping[str, int], mode: str, parallel: bool
) -> tuple[str, dict[str, str]]:
    """The expression, and the rules it needs, of an answer that calls functions: in the mode auto also of one that does not.

    `arguments`: expressions by the functions' names. `tokens`: the ids of special tokens, which are no text for a grammar.
    """
    written = partial(fixed_text, tokens=tokens)
    names = [f"call_{position}" for position in range(len(arguments))]
    rules = {
        rule: " ".join([written(name + call_format.before_arguments), expression, written(call_format.after_arguments)])
        for rule, (name, expression) in zip(names, arguments.items(), strict=True)
    }
    more = ""
    if parallel and mode != "named" and call_format.between is not None:
        more = f"({written(call_format.between + call_format.before_name)} call)*"
    rest = call_format.beginning.removeprefix(call_format.trigger)
    rules |= {"call": " | ".join(names), "calls": " ".join([written(rest), "call", more, written(call_format.closing)])}
    trigger = written(call_format.trigger)
    if mode != "auto":
        return f"{trigger} calls", rules
    if call_format.before_text:
        return f"{trigger} calls | {written(call_format.before_text)} TEXT", rules | {"TEXT": ANY_TEXT}
    if call_format.only_at_start:
        first = re.escape(call_format.trigger[0])
        return f"{trigger} calls | other_text", rules | {"other_text": f"/([^\\s{first}](.|\\n)*)?/"}
    if trigger.startswith("<["):
        return f"TEXT {trigger} calls | TEXT", rules | {"TEXT": ANY_TEXT}
    return "triggered calls | TEXT", rules | {"TEXT": ANY_TEXT, "triggered[lazy]": f"TEXT {trigger}"}
