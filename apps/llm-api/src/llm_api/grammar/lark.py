"""Pieces of grammars in llguidance's Lark syntax (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md).

An expression stands on the right side of a rule. A grammar is a text with the rule `start`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

ANY_TEXT = r"/(.|\n)*/"
SPACE = r"/[ \n]{0,8}/"
WHITESPACE = r"( |\n[ \t]{0,20})?"  # between the tokens of JSON: with more freedom, a small model may write little else


def grammar(start: str, rules: Mapping[str, str] | None = None) -> str:
    """`rules`: expressions by name."""
    return "\n".join(f"{name}: {expression}" for name, expression in {"start": start, **(rules or {})}.items()) + "\n"


def literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def any_of(texts: Iterable[str]) -> str:
    return " | ".join(map(literal, texts))


def regex(pattern: str) -> str:
    """The whole text matches `pattern`, in the syntax of Rust's regex crate."""
    anchored = pattern.removeprefix("^")
    if re.search(r"(?<!\\)(\\\\)*\$$", anchored):
        anchored = anchored[:-1]
    escaped = re.sub(r"(\\.)|/|\n", lambda match: match[1] or {"/": r"\/", "\n": r"\n"}[match[0]], anchored, flags=re.DOTALL)
    return f"/{escaped}/"


def json_value(schema: Mapping[str, Any], whitespace: str = WHITESPACE) -> str:
    """JSON that is valid under `schema`, with this whitespace between its tokens."""
    return "%json " + json.dumps({**schema, "x-guidance": {"whitespace_pattern": whitespace, "lenient": False, "coerce_one_of": False}})


def nested(text: str) -> str:
    """A whole grammar as an expression."""
    return "%lark {\n" + text + "\n}"


def fixed_text(text: str, tokens: Mapping[str, int]) -> str:
    """An expression for `text`: special tokens, of which `tokens` has the ids, are no text for a grammar."""
    pieces = []
    while text:
        found = [(text.find(token), -len(token), token) for token in tokens if token in text]
        if not found:
            pieces.append(literal(text))
            break
        at, _, token = min(found)
        pieces += [literal(text[:at])] if at else []
        pieces.append(f"<[{tokens[token]}]>")
        text = text[at + len(token) :]
    return " ".join(pieces)
