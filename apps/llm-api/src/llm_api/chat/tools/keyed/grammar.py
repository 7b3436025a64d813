"""The grammar of arguments that are written as keys and values: required keys are there, each key once, each value valid."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llm_api.chat.tools.keyed.parameters import Parameter, Parameters
from llm_api.chat.tools.keyed.style import KeyedStyle
from llm_api.grammar.json_schema import SchemaRefused, schema_expression
from llm_api.grammar.lark import any_of, fixed_text, grammar, nested

OTHER_KEY = r"/[a-zA-Z_][a-zA-Z0-9_]{0,63}/"


def keyed_expression(parameters: Parameters, style: KeyedStyle, tokens: Mapping[str, int]) -> str:
    """The Lark expression of the arguments. `tokens`: the ids of special tokens. Raises SchemaRefused."""
    return nested(_Rules(style, tokens).arguments(parameters))


@dataclass(frozen=True, slots=True)
class _Rules:
    style: KeyedStyle
    tokens: Mapping[str, int]

    def arguments(self, parameters: Parameters) -> str:
        """The rules first_N and next_N are of the parameters from the position N on: the first that is written, and one after others."""
        rules: dict[str, str] = {}
        for position, (key, parameter) in enumerate(parameters.known.items()):
            rules |= self._parameter(str(position), self._written(key), parameter)
            for name, begins in self._names().items():
                skipped = "" if parameter.required else f" | {name}_{position + 1}"
                rules[f"{name}_{position}"] = f"{begins}parameter_{position} next_{position + 1}{skipped}"
        ends = self._ends(len(parameters.known), parameters.others, parameters.known)
        return grammar(f"{next(iter(self._names()))}_0", rules | ends)

    def _names(self) -> dict[str, str]:
        """What is before a parameter, by the names of the rules. The first is not special where there is no separator."""
        separator = self._written(self.style.separator)
        return {"first": "", "next": f"{separator} "} if separator else {"next": ""}

    def _ends(self, count: int, others: Parameter | None, known: Iterable[str]) -> dict[str, str]:
        """The parameters after those that are known."""
        if others is None:
            return {f"{name}_{count}": '""' for name in self._names()}
        excluded = any_of(known)
        key = {"OTHER_KEY": f"{OTHER_KEY} & ~({excluded})" if excluded else OTHER_KEY}
        more = f"({self._names()['next']}parameter_other)*"
        ends = {"first": f"(parameter_other {more})?", "next": more}
        return key | self._parameter("other", "OTHER_KEY", others) | {f"{name}_{count}": ends[name] for name in self._names()}

    def _parameter(self, name: str, key: str, parameter: Parameter) -> dict[str, str]:
        rule = " ".join([self._written(self.style.before_key), key, self._written(self.style.after_key)])
        end = self._written(self.style.after_value)
        if parameter.text is None:
            try:
                return {f"parameter_{name}": f"{rule} {schema_expression(parameter.schema)} {end}"}
            except SchemaRefused as error:
                raise SchemaRefused(str(error), parameter.path + error.path) from error
        terminal = f"VALUE_{name}".upper()
        text, special, rest = end.partition("<[")
        if special:
            return {f"parameter_{name}": f"{rule} {terminal} {special}{rest}", terminal: f"({parameter.text.terminal}) {text}"}
        value = {terminal: parameter.text.terminal, f"value_{name}[lazy]": f"{terminal} {end}"}
        return {f"parameter_{name}": f"{rule} value_{name}"} | value

    def _written(self, text: str) -> str:
        return fixed_text(text, self.tokens)
