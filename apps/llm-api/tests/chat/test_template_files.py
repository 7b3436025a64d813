"""A folder's templates and variables are those that transformers uses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chat.model_folders import model_folder

from llm_api.chat.template import ChatTemplate, ChatTemplateError
from llm_api.chat.template_files import UnusableTemplate

USER = {"role": "user", "content": " What is <Kubernetes>? & 'why' \"é\"\n"}
TURNS = [{"role": "system", "content": " Be brief. "}, USER, {"role": "assistant", "content": " A platform.\n"}, USER]
TOOLS = [{"type": "function", "function": {"name": "now"}}]
NAMED = [
    {"name": "default", "template": "plain {{ image_token }}{{ tools }}"},
    {"name": "tool_use", "template": "{{ tools | tojson }}"},
    {"name": "rag", "template": "{% broken"},
]


def by_transformers(folder: Path, messages: list[dict[str, Any]], **options: Any) -> str:
    from transformers import PreTrainedTokenizerFast  # slow to import, and other tests do not need it

    rendered: str = PreTrainedTokenizerFast.from_pretrained(folder).apply_chat_template(messages, tokenize=False, **options)
    return rendered


def test_the_default_models_template(model_path: Path) -> None:
    rendered = ChatTemplate(model_path).render(TURNS, add_generation_prompt=True)
    assert rendered == by_transformers(model_path, TURNS, add_generation_prompt=True)


@pytest.mark.parametrize("named", [NAMED, {item["name"]: item["template"] for item in NAMED}], ids=["list", "dict"])
@pytest.mark.parametrize("tools", [None, [], TOOLS])
def test_named_templates_in_the_tokenizers_configuration(tmp_path: Path, named: Any, tools: Any) -> None:
    folder = model_folder(tmp_path, chat_template=named)
    assert ChatTemplate(folder).render([USER], tools=tools) == by_transformers(folder, [USER], tools=tools)


@pytest.mark.parametrize("files", [["default"], ["tool_use"], ["default", "tool_use"]])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_template_files_take_precedence_over_the_tokenizers_configuration(tmp_path: Path, files: list[str], tools: Any) -> None:
    folder = model_folder(tmp_path, "chatml", chat_template="configured")
    (folder / "additional_chat_templates").mkdir()
    for name in files:
        (folder / "additional_chat_templates" / f"{name}.jinja").write_text(f"{name} {{{{ tools }}}}")
    assert ChatTemplate(folder).render([USER], tools=tools) == by_transformers(folder, [USER], tools=tools)


def test_templates_without_a_default_are_for_tools_only(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, chat_template=NAMED[1:2])
    assert ChatTemplate(folder).render([USER], tools=TOOLS) == by_transformers(folder, [USER], tools=TOOLS)
    with pytest.raises(ChatTemplateError, match="no chat template"):
        ChatTemplate(folder).render([USER])


def test_the_older_file_of_models_for_images_and_text(tmp_path: Path) -> None:
    """transformers' processors read it, its tokenizers do not."""
    folder = model_folder(tmp_path)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "old {{ eos_token }}"}))
    assert ChatTemplate(folder).render([USER]) == "old </s>"
    (folder / "chat_template.jinja").write_text("new")
    assert ChatTemplate(folder).render([USER]) == "new"


def test_special_tokens_of_the_older_file(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, chat_template="{{ bos_token }}{{ sep_token }}")
    (folder / "special_tokens_map.json").write_text('{"sep_token": {"content": "</s>"}}')
    assert ChatTemplate(folder).render([USER]) == by_transformers(folder, [USER]) == "<s></s>"


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "chat_template.jinja").write_bytes(b"a\xff")
    with pytest.raises(UnusableTemplate, match=r"chat_template.jinja is not UTF-8: invalid start byte at byte 1"):
        ChatTemplate(folder)
    (folder / "chat_template.jinja").unlink()
    for text in ("{", "[" * 100_000):
        (folder / "tokenizer_config.json").write_text(text)
        with pytest.raises(UnusableTemplate, match=r"tokenizer_config.json is not valid JSON"):
            ChatTemplate(folder)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("tokenizer_config.json", {"chat_template": 5}, "chat_template is not a string, an object of strings, or a list"),
        ("chat_template.json", {"chat_template": True}, "chat_template is not a string, an object of strings, or a list"),
        ("tokenizer_config.json", {"chat_template": ["a"]}, "chat_template is not a string, an object of strings, or a list"),
        ("tokenizer_config.json", {"chat_template": [{"template": "a"}]}, "chat_template is not a string, an object of strings, or a list"),
        ("tokenizer_config.json", {"chat_template": [{"name": "default"}]}, "the template 'default' in chat_template is not a string"),
        ("tokenizer_config.json", {"chat_template": {"default": 5}}, "the template 'default' in chat_template is not a string"),
        ("tokenizer_config.json", {"eos_token": {}}, "eos_token has no string under content"),
        ("special_tokens_map.json", {"sep_token": {"content": 5}}, "sep_token has no string under content"),
        ("tokenizer_config.json", {"extra_special_tokens": {"image": {}}}, "extra_special_tokens.image has no string under content"),
        ("tokenizer_config.json", {"chat_control_tokens": 5}, "chat_control_tokens is not a list of strings"),
        ("tokenizer_config.json", {"chat_control_tokens": "</s>"}, "chat_control_tokens is not a list of strings"),
        ("tokenizer_config.json", {"chat_control_tokens": [5]}, "chat_control_tokens is not a list of strings"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_file(tmp_path: Path, file: str, content: dict[str, Any], reason: str) -> None:
    folder = model_folder(tmp_path)
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(UnusableTemplate, match=f"^{re.escape(f'{file}: {reason}')}") as refused:
        ChatTemplate(folder)
    assert "\n" not in str(refused.value)
