"""Which schemas are of strings that can be written as they are, and the texts that are valid under them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from llm_api.grammar.lark import any_of, regex
from llm_api.grammar.references import find_reference

ANNOTATIONS = frozenset({"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment"})
HELD = frozenset({"type", "enum", "const", "minLength", "maxLength", "pattern"})
NULL = {"type": "null"}
ANYTHING = r"(.|\n)*"
NO_CONTROLS = r"/[^\x00-\x08\x0b\x0c\x0e-\x1f]*/"  # about which classes of regular expressions differ
MAX_STEPS = 16  # of references
MAX_COUNT = 256  # that an expression may count to beside the search for the end: more states would be too many for llguidance


@dataclass(frozen=True, slots=True)
class RawText:
    """`terminal`: of the valid texts, up to the first end. `nullable`: the text null is JSON's null."""

    terminal: str
    nullable: bool = False


def raw_text(root: Mapping[str, Any], schema: Any, end: str) -> RawText | None:
    """None: the values are written as JSON. `end`: the text that follows the value, and that a value that is written so cannot contain."""
    said = _said(root, schema)
    if said is None:
        return None
    branches = said.get("anyOf", said.get("oneOf"))
    if len(said) == 1 and isinstance(branches, list) and len(branches) == 2 and NULL in branches:
        other = raw_text(root, branches[1 - branches.index(NULL)], end)
        return None if other is None else _or_null(other.terminal)
    if not said or not said.keys() <= HELD:
        return None
    return _listed(said, end) if "enum" in said or "const" in said else _described(said, end)


def _or_null(terminal: str) -> RawText:
    return RawText(f'({terminal}) | "null"', nullable=True)


def _said(root: Mapping[str, Any], schema: Any) -> dict[str, Any] | None:
    """The keywords that matter, where references lead. None where that is no schema."""
    for _ in range(MAX_STEPS):
        if not isinstance(schema, Mapping):
            return None
        said = {keyword: value for keyword, value in schema.items() if keyword not in ANNOTATIONS}
        if said.keys() == {"$ref"} and isinstance(said["$ref"], str):
            schema = find_reference(root, said["$ref"])
        elif said.keys() == {"allOf"} and isinstance(said["allOf"], list) and len(said["allOf"]) == 1:
            schema = said["allOf"][0]
        else:
            return said
    return None


def _listed(said: Mapping[str, Any], end: str) -> RawText | None:
    values = said.get("enum", [said.get("const")])
    if len(said.keys() - {"type"}) > 1 or not isinstance(values, list):
        return None
    types = said.get("type", ["string", "null"])
    allowed = types if isinstance(types, list) else [types]
    texts = [value for value in values if isinstance(value, str)]
    nullable = None in values
    if not texts or len(texts) + nullable < len(values) or "string" not in allowed or any(end in text for text in texts):
        return None
    return _or_null(any_of(texts)) if nullable and "null" in allowed else RawText(any_of(texts))


def _described(said: Mapping[str, Any], end: str) -> RawText | None:
    types = said.get("type")
    nullable = isinstance(types, list) and sorted(map(str, types)) == ["null", "string"]
    if types not in ("string", ["string"]) and not nullable:
        return None
    shortest, longest = said.get("minLength", 0), said.get("maxLength")
    if not _is_count(shortest) or not (longest is None or (_is_count(longest) and longest >= shortest)) or shortest > MAX_COUNT:
        return None
    length = f"/(.|\\n){{{shortest},{'' if longest is None else longest}}}/"
    terminal = _matching(said["pattern"], length, longest or 1, end) if "pattern" in said else _long(length, shortest, end)
    return None if terminal is None else _or_null(terminal) if nullable else RawText(terminal)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _long(length: str, shortest: int, end: str) -> str:
    """The lexer stops at the first end that follows a text of this length. So only ends that come too early are excluded."""
    return f"{length} & ~/(.|\\n){{0,{shortest - 1}}}{_escaped(end)}{ANYTHING}/" if shortest else length


def _matching(pattern: Any, length: str, count: int, end: str) -> str | None:
    found = _containing(pattern)
    if found is None or count * prod(max(1, int(number)) for number in re.findall(r"\d+(?=[,\d]*\})", pattern)) > MAX_COUNT:
        return None
    return f"{length} & {found} & {NO_CONTROLS} & ~/{ANYTHING}{_escaped(end)}{ANYTHING}/"


def _escaped(text: str) -> str:
    return re.escape(text).replace("/", r"\/").replace("\\\n", r"\n")


def _containing(pattern: Any) -> str | None:
    """The texts in which `pattern` is found. None if it has anchors elsewhere than around all of it, or counts without one before it."""
    if not isinstance(pattern, str):
        return None
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern, flags=re.DOTALL)
    starts, ends = bare.startswith("^"), bare.endswith("$")
    inner = bare[starts : len(bare) - ends]
    flat = inner
    while (smaller := re.sub(r"\([^()]*\)", "x", flat)) != flat:
        flat = smaller
    if re.search(r"[\^$]", inner) or ((starts or ends) and "|" in flat) or ("{" in inner and not starts):
        return None
    body = pattern[starts : len(pattern) - ends]
    return regex(("" if starts else ANYTHING) + f"(?:{body})" + ("" if ends else ANYTHING))
