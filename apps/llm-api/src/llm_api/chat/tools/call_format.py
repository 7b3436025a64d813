"""How a model writes a call: fixed text around the function's name and its arguments in JSON."""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from llm_api.grammar.lark import ANY_TEXT, fixed_text

LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class CallFormat:
    """An answer's calls are: opening, call, between, call ... closing. A call is: before_name NAME before_arguments ARGUMENTS
    after_arguments.

    evidence: texts that are all in the chat template of a model that writes this format.
    trigger: what begins a call. Once a model has written it, the rest is held to the format.
    only_at_start: the trigger begins a call only where it begins the answer.
    between: None for formats with one call in an answer.
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

    @property
    def beginning(self) -> str:
        """The text before the name of the first call."""
        return self.opening + self.before_name

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.beginning, self.before_arguments, self.after_arguments, self.between or "", self.closing)

    def new_id(self) -> str:
        """Mistral's templates ask for nine letters and digits."""
        if self.short_ids:
            return "".join(secrets.choice(LETTERS) for _ in range(9))
        return "call_" + secrets.token_hex(12)


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
    if call_format.only_at_start:
        first = call_format.trigger[0]
        return f"{trigger} calls | other_text", rules | {"other_text": f"/([^\\s{first}](.|\\n)*)?/"}
    if trigger.startswith("<["):
        return f"TEXT {trigger} calls | TEXT", rules | {"TEXT": ANY_TEXT}
    return "triggered calls | TEXT", rules | {"TEXT": ANY_TEXT, "triggered[lazy]": f"TEXT {trigger}"}
