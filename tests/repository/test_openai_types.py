"""docs/openai.md lists every difference between our OpenAPI and the openai package's types, each with a reason."""

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tools.openai_types.__main__ import main
from tools.openai_types.differences import Difference
from tools.openai_types.reasons import FILE, ReasonsError, reasons_for
from tools.openai_types.surfaces import differences, our_document

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "openai.md"
DOCUMENT = our_document()
Change = Callable[[dict[str, Any]], object]


def make_table(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str | None:
    """The result of the command; None: success."""
    monkeypatch.setattr(sys, "argv", ["openai_types", *arguments])
    try:
        main()
    except SystemExit as end:
        return None if end.code is None else str(end.code)
    return None


def test_the_table_is_current_and_every_difference_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_table(monkeypatch, "--check", str(PAGE)) is None


def test_an_outdated_table_is_reported_and_updated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "openai.md"
    page.write_text(PAGE.read_text(encoding="utf-8").replace("| `top_k` | only here |", "| `top_k` | nowhere |"), encoding="utf-8")
    assert "run `make docs`" in str(make_table(monkeypatch, "--check", str(page)))
    assert make_table(monkeypatch, str(page)) is None
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ('    - "top_k: only here"\n', "", "no reason for 'Chat request': top_k: only here"),
        (
            '    - "top_k: only here"\n',
            '    - "top_k: only here"\n    - "gone: only here"\n',
            "a reason for a difference that no longer exists: gone: only here",
        ),
        ('    - "top_k: only here"\n', '    - "top_k: only here"\n' * 2, "more than one reason for: top_k: only here"),
    ],
    ids=["missing", "gone", "twice"],
)
def test_reasons_and_differences_need_each_other(tmp_path: Path, line: str, instead: str, message: str) -> None:
    reasons = tmp_path / "reasons.yaml"
    reasons.write_text(FILE.read_text(encoding="utf-8").replace(line, instead), encoding="utf-8")
    with pytest.raises(ReasonsError, match=message.replace("'Chat request'", "'.*'")):
        reasons_for(differences(DOCUMENT), reasons)


def fields(schemas: dict[str, Any], name: str) -> dict[str, Any]:
    properties: dict[str, Any] = schemas[name]["properties"]
    return properties


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: fields(s, "ChatCompletionRequest").pop("seed"), Difference("Chat request", "seed", "only in OpenAI's")),
        (lambda s: fields(s, "ChatCompletionRequest").update(x={"type": "string"}), Difference("Chat request", "x", "only here")),
        (
            lambda s: fields(s, "Usage").update(total_tokens={"type": "string"}),
            Difference("Chat answer", "usage.total_tokens", "string only here"),
        ),
        (lambda s: s["ChatCompletion"]["required"].remove("id"), Difference("Chat answer", "id", "required only in OpenAI's")),
        (
            lambda s: fields(s, "ChunkChoice")["finish_reason"]["anyOf"][0]["enum"].append("tired"),
            Difference("Chat chunk", "choices[].finish_reason", "`tired` only here"),
        ),
        (lambda s: fields(s, "Model")["object"].update(const="models"), Difference("Model", "object", "`models` only here")),
        (lambda s: fields(s, "ErrorObject").pop("type"), Difference("Error", "error.type", "only in OpenAI's")),
        (
            lambda s: fields(s, "UserMessage")["role"].update(const="human"),
            Difference("Chat request", "messages[role=human]", "only here"),
        ),
    ],
)
def test_a_change_of_the_api_is_a_difference(change: Change, found: Difference) -> None:
    assert found not in differences(DOCUMENT)
    document = deepcopy(DOCUMENT)
    change(document["components"]["schemas"])
    assert found in differences(document)
