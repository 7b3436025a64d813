"""The table of engines, from the kinds of llm_api.service.upstream."""

from llm_api.markdown import table
from llm_api.service.upstream.kind import Kind
from llm_api.service.upstream.kinds import KINDS

FORMS = ("json", "regex", "choice", "grammar", "json_object")


def engines_table() -> str:
    fields = sorted({field for kind in KINDS.values() for field in kind.fields} - {"prompt", "structured_outputs"})
    rows: list[tuple[str, ...]] = [(f"`{field}`", *(_field(kind, field) for kind in KINDS.values())) for field in fields]
    rows += [(f"`structured_outputs.{form}`", *(_form(kind, form) for kind in KINDS.values())) for form in FORMS]
    rows.append(("prompts of text completions", *(kind.prompts for kind in KINDS.values())))
    rows.append(("`/tokenize`", *("yes" if kind.tokenizer else "–" for kind in KINDS.values())))
    rows.append(("progress is seen by", *(f"`{kind.counters[0]}`" if kind.counters else "streams" for kind in KINDS.values())))
    return table(("Field", *(f"`{name}`" for name in KINDS)), rows)


def _field(kind: Kind, field: str) -> str:
    name = kind.fields.get(field)
    if name is None:
        return "–"
    if field in kind.only_in_chat:
        return "chat"
    return "yes" if name == field else f"`{name}`"


def _form(kind: Kind, form: str) -> str:
    return "yes" if form in kind.forms or "structured_outputs" in kind.fields else "–"
