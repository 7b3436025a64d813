from pathlib import Path

import pytest
from chat.model_folders import model_folder

from llm_api.chat.control_tokens import control_tokens
from llm_api.chat.template import ChatTemplate

TEMPLATE = """{{ bos_token }}{% for message in messages -%}
{{ '<|' + message.role + '|>' + message.content }}{% if message.tool_calls %}<|tool|><tool_call>{% endif %}
{%- endfor %}{% if add_generation_prompt %}<|assistant|><think>    {% endif %}"""
SPECIAL = ["<s>", "</s>"]
ADDED = [
    *SPECIAL,
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|image|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "    ",
    "for",
]


@pytest.fixture
def template(tmp_path: Path) -> ChatTemplate:
    return ChatTemplate(model_folder(tmp_path, chat_template=TEMPLATE))


def test_special_tokens_and_markers_of_the_template_are_control_tokens(template: ChatTemplate) -> None:
    assert control_tokens(SPECIAL, ADDED, template) == {"<s>", "</s>", "<|user|>", "<|assistant|>", "<|tool|>"}


def test_a_pair_that_is_special_is_too(template: ChatTemplate) -> None:
    assert control_tokens(["<think>"], ADDED, template) >= {"<think>"}


def test_the_models_own_list_replaces_the_guess(tmp_path: Path) -> None:
    named = ChatTemplate(model_folder(tmp_path, chat_template=TEMPLATE, chat_control_tokens=["<think>", "unknown"]))
    assert control_tokens(SPECIAL, ADDED, named) == {"<s>", "</s>", "<think>"}
