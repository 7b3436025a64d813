"""Reasoning before an answer that is held to a grammar: the grammar begins after it."""

import re
from collections.abc import Mapping

from llm_api.chat.output.reasoning_formats import ReasoningFormat
from llm_api.grammar.lark import ANY_TEXT, SPACE, fixed_text


def _without_reasoning(reasoning: ReasoningFormat) -> str:
    """An expression for a text that does not begin with reasoning. Else it would be read as a text in two ways."""
    first = re.escape(reasoning.start[0])
    return rf"/([^{first}](.|\n)*)?/"


def after_reasoning(
    reasoning: ReasoningFormat, start: str, rules: Mapping[str, str], tokens: Mapping[str, int], *, begun: bool
) -> tuple[str, dict[str, str]]:
    """A grammar whose answer, the expression `start`, follows the reasoning, which is optional unless it has `begun`."""
    end = fixed_text(reasoning.end, tokens)
    special = end.startswith("<[")
    added = {"THOUGHT": ANY_TEXT, "answer": start} | ({} if special else {"thought[lazy]": f"THOUGHT {end}"})
    reasoned = f"{f'THOUGHT {end}' if special else 'thought'} {SPACE}"
    if begun:
        return f"{reasoned} answer", {**rules, **added}
    added["reasoned"] = f"{fixed_text(reasoning.start, tokens)} {reasoned}"
    if reasoning.answer:
        added["reasoned"] += f" | {fixed_text(reasoning.answer, tokens)}"
    if "TEXT" not in rules:
        return "reasoned answer | answer", {**rules, **added}
    return "reasoned answer | unreasoned", {**rules, **added, **_unreasoned(reasoning, start, rules)}


def _unreasoned(reasoning: ReasoningFormat, start: str, rules: Mapping[str, str]) -> dict[str, str]:
    """The answer once more, with a text that does not begin as reasoning does."""

    def renamed(expression: str) -> str:
        return expression.replace("TEXT", "UNREASONED").replace("triggered", "unreasoned_triggered")

    copies = {renamed(name): renamed(rule) for name, rule in rules.items() if name.startswith("triggered")}
    return copies | {"UNREASONED": _without_reasoning(reasoning), "unreasoned": renamed(start)}
