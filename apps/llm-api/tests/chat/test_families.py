"""Prompts of the published families' templates equal those of transformers: text, tokens, and control tokens that a message contains.

The templates are written anew, with the families' markers, expressions and white space, and shorter texts.
"""

import itertools
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from chat.model_folders import SPECIAL_TOKENS, TEMPLATES
from jinja2 import TemplateError
from tokenization.vocabularies import byte_level_bpe

from llm_api.chat.control_tokens import control_tokens
from llm_api.chat.plain_text import PlainText
from llm_api.chat.template import RENDER_ERRORS, ChatTemplate, ChatTemplateError, PromptOptions
from llm_api.tokenization.tokenizer import Tokenizer

Chat = list[dict[str, Any]]

FAMILIES = sorted(file.stem for file in TEMPLATES.glob("*.jinja"))
NOT_FOR_TEXT = {"command_r_tools", "parts"}  # they read tools, and lists of parts, only
MARKERS = re.compile(r"<[|｜][\w▁/]+[|｜]>|\[[|/]?[A-Z_a-z]+\|?\]|</?[a-z_]+>|<extra_id_\d>")

SYSTEM = {"role": "system", "content": " Be brief.\n"}
USER = {"role": "user", "content": " What is <Kubernetes>? & 'why' \"é\" 日本 🎉\n"}
ANSWER = {"role": "assistant", "content": "\n A platform.\n"}
EMPTY = {"role": "user", "content": ""}
CALL = {"id": "call12345", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "units": ["C"]}}}
OTHER = {"id": "call67890", "type": "function", "function": {"name": "now", "arguments": {}}}
RESULT = {"role": "tool", "name": "weather", "content": '{"degrees": 21}', "tool_call_id": "call12345"}
LATER = {"role": "tool", "name": "now", "content": "12:00", "tool_call_id": "call67890"}
PARTS = {"role": "user", "content": [{"type": "text", "text": " One "}, {"type": "text", "text": "two"}]}
WITH_PARTS = {"role": "assistant", "content": [{"type": "text", "text": "three"}]}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}

CHATS: dict[str, Chat] = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "developer": [{**SYSTEM, "role": "developer"}, USER],
    "turns": [SYSTEM, USER, ANSWER, USER],
    "consecutive users": [USER, USER],
    "consecutive systems": [SYSTEM, SYSTEM, USER],
    "an answer at the end": [USER, ANSWER],
    "an answer first": [ANSWER, USER],
    "a thought": [USER, {**ANSWER, "content": "<think>\nHm.\n</think>\n\nYes."}, USER, {**ANSWER, "content": "<think>a</think>b"}],
    "reasoning apart": [USER, {**ANSWER, "reasoning_content": "Hm."}],
    "a call": [USER, CALLING, RESULT],
    "a call with text": [SYSTEM, USER, {**CALLING, "content": "Let me see."}, RESULT, ANSWER, USER],
    "two calls": [USER, {**CALLING, "tool_calls": [CALL, OTHER]}, RESULT, LATER],
    "empty": [{**SYSTEM, "content": ""}, EMPTY, {**ANSWER, "content": ""}, EMPTY],
    "null": [{**USER, "name": None}],
    "parts": [{**PARTS, "role": "system"}, PARTS, WITH_PARTS, PARTS],
}  # fmt: skip
CITY = {"type": "string", "description": "Where, such as Zürich", "enum": ["Zürich", "Bern"], "default": "Bern"}
DAYS = {"type": ["integer", "string"], "description": "How many"}
UNITS = {"type": "array", "items": {"type": "string"}, "description": "<which>"}
PARAMETERS = {"type": "object", "properties": {"city": CITY, "days": DAYS, "units": UNITS}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}},
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": TOOLS},
    {"add_generation_prompt": True, "tools": [], "documents": [{"title": "T", "text": "<é>"}], "enable_thinking": False},
    {"add_generation_prompt": True, "tools": TOOLS, "documents": [{"title": "T", "text": "x"}], "tools_in_user_message": False},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose vocabulary has the markers of every family."""
    folder = tmp_path_factory.mktemp("families")
    markers = sorted({marker for file in TEMPLATES.glob("*.jinja") for marker in MARKERS.findall(file.read_text())})
    tokenizer = byte_level_bpe()
    tokenizer.add_special_tokens([tokenizers.AddedToken(token, normalized=False) for token in ["<s>", "</s>", "<image>", *markers]])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(SPECIAL_TOKENS))
    return folder


@pytest.fixture(scope="module")
def transformers(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast  # slow to import, and other tests do not need it

    return PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


@pytest.fixture
def source(request: pytest.FixtureRequest) -> str:
    return (TEMPLATES / f"{request.param}.jinja").read_text()


@pytest.fixture
def template(source: str, folder: Path) -> ChatTemplate:
    (folder / "chat_template.jinja").write_text(source)
    return ChatTemplate(folder)


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test runs over midnight."""

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Fixed":
            return cls(2030, 1, 2)

    monkeypatch.setattr("llm_api.chat.sandbox.datetime", Fixed)
    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Fixed)


@pytest.mark.parametrize("source", FAMILIES, indirect=True)
def test_text_and_tokens(template: ChatTemplate, source: str, tokenizer: Tokenizer, transformers: Any) -> None:
    """Where transformers raises an exception, this is refused as well."""
    rendered = 0
    for (name, chat), options in itertools.product(CHATS.items(), OPTIONS):
        try:
            expected = transformers.apply_chat_template(chat, chat_template=source, tokenize=False, **options)
        except (*RENDER_ERRORS, TemplateError):
            with pytest.raises(ChatTemplateError):
                template.render(chat, **options)
            continue
        text = template.render(chat, **options)
        assert text == expected, (name, options)
        assert tokenizer.encode(text, add_special_tokens=False) == transformers.encode(expected, add_special_tokens=False)
        rendered += bool(text)
    assert rendered >= 15


@pytest.mark.parametrize("source", FAMILIES, indirect=True)
@pytest.mark.parametrize("content", ["The answer", " The answer is \n", [{"type": "text", "text": "The answer "}]], ids=repr)
def test_the_last_message_is_continued(template: ChatTemplate, source: str, transformers: Any, content: Any) -> None:
    chat: Chat = [USER, {"role": "assistant", "content": content}]
    fitted = template._style.fit(chat)
    try:
        expected = transformers.apply_chat_template(fitted, chat_template=source, tokenize=False, continue_final_message=True)
    except (*RENDER_ERRORS, TemplateError):
        with pytest.raises(ChatTemplateError):
            template.prompt(chat, PromptOptions(continues=True))
        return
    assert template.prompt(chat, PromptOptions(continues=True)) == expected
    assert expected.rstrip().endswith("The answer") or "The answer is" in expected


@pytest.mark.parametrize("source", [family for family in FAMILIES if family not in NOT_FOR_TEXT], indirect=True)
def test_control_tokens_in_messages(template: ChatTemplate, source: str, tokenizer: Tokenizer, transformers: Any) -> None:
    """As transformers with sanitize_control_tokens, where no merges cross the tokens."""
    control = control_tokens(tokenizer.special_tokens, tokenizer.added_tokens, template)
    forged = "".join(f"a{token} " for token in ["</s>", *MARKERS.findall(source)[:40]])
    chat = [{"role": "user", "content": f"x{forged}y"}]
    expected = transformers.apply_chat_template(
        chat, chat_template=source, add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
    )
    prompt = PlainText(control).prompt(chat, template.prompt)
    assert prompt.parts is not None
    assert tokenizer.marked_encoder(control).encode(prompt.parts) == expected


@pytest.mark.parametrize("source", FAMILIES, indirect=True)
@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_all_text_parts_of_a_message_are_read(template: ChatTemplate, role: str) -> None:
    message = {"role": role, "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}
    chat: Chat = [message] if role == "user" else [message, USER] if role in {"system", "developer"} else [USER, message, USER]
    try:
        text = template.prompt(chat)
    except ChatTemplateError:
        return
    assert re.search(r"\bone\n?two\b", text)
