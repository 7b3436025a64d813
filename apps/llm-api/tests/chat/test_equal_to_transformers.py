"""Prompts equal those of transformers' `apply_chat_template`, for templates with the features of real model families."""

from pathlib import Path
from typing import Any

import pytest
from chat.model_folders import model_folder

from llm_api.chat.template import ChatTemplate

SYSTEM = {"role": "system", "content": " Be brief. "}
USER = {"role": "user", "content": " What is <Kubernetes>? & 'why' \"é\"\n"}
ASSISTANT = {"role": "assistant", "content": " A platform.\n"}
TOOL = {"role": "tool", "content": '{"degrees": 21}', "tool_call_id": "call_1"}
PARTS = {"role": "user", "content": [{"type": "text", "text": " One "}, {"type": "text", "text": "two"}]}
CHATS: dict[str, list[dict[str, Any]]] = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "turns": [SYSTEM, USER, ASSISTANT, USER],
    "tool": [USER, ASSISTANT, TOOL, TOOL, USER],
    "null": [{**USER, "name": None}],
    "parts": [PARTS, {**PARTS, "role": "assistant"}, {**PARTS, "role": "note"}, {**PARTS, "role": "stop"}, PARTS],
}
CASES = [
    ("chatml", ["user", "system", "turns", "tool", "null"]),
    ("headers", ["user", "system", "turns", "tool", "null"]),
    ("inst", ["user", "system", "turns"]),
    ("turns", ["user", "system", "turns"]),
    ("parts", ["parts"]),
    ("marked", ["user", "turns"]),
]


def by_transformers(folder: Path, messages: list[dict[str, Any]], **options: Any) -> str:
    from transformers import PreTrainedTokenizerFast  # slow to import, and other tests do not need it

    rendered: str = PreTrainedTokenizerFast.from_pretrained(folder).apply_chat_template(messages, tokenize=False, **options)
    return rendered


@pytest.mark.parametrize(("template", "chat"), [(template, chat) for template, chats in CASES for chat in chats])
@pytest.mark.parametrize("options", [{}, {"add_generation_prompt": True}], ids=["whole", "prompt"])
def test_families_templates(tmp_path: Path, template: str, chat: str, options: dict[str, Any]) -> None:
    folder = model_folder(tmp_path, template)
    rendered = ChatTemplate(folder).render(CHATS[chat], **options)
    assert rendered == by_transformers(folder, CHATS[chat], **options)
    assert rendered


@pytest.mark.parametrize("template", ["chatml", "headers"])
def test_options(tmp_path: Path, template: str) -> None:
    folder = model_folder(tmp_path, template)
    options: dict[str, Any] = {"date_string": "1 Jan 2030", "add_generation_prompt": True}
    assert ChatTemplate(folder).render([SYSTEM, USER], **options) == by_transformers(folder, [SYSTEM, USER], **options)


@pytest.mark.parametrize("chat", ["user", "system", "turns", "tool"])
def test_the_default_models_template(model_path: Path, chat: str) -> None:
    rendered = ChatTemplate(model_path).render(CHATS[chat], add_generation_prompt=True)
    assert rendered == by_transformers(model_path, CHATS[chat], add_generation_prompt=True)


def test_named_templates_in_the_tokenizers_configuration(tmp_path: Path) -> None:
    named = [
        {"name": "default", "template": "plain {{ image_token }}{{ tools }}"},
        {"name": "tool_use", "template": "{{ tools | tojson }}"},
    ]
    folder = model_folder(tmp_path, chat_template=named)
    assert ChatTemplate(folder).render([USER]) == by_transformers(folder, [USER])


def test_template_files_take_precedence_over_the_tokenizers_configuration(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "chatml", chat_template="configured")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("not for a chat without tools")
    assert ChatTemplate(folder).render([USER]) == by_transformers(folder, [USER])


def test_special_tokens_of_the_older_file(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, chat_template="{{ bos_token }}{{ sep_token }}")
    (folder / "special_tokens_map.json").write_text('{"sep_token": {"content": "</s>"}}')
    assert ChatTemplate(folder).render([USER]) == by_transformers(folder, [USER]) == "<s></s>"
