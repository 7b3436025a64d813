"""No template turns text of a message into a control token, even if it changes the text."""

from pathlib import Path

import pytest
from chat.model_folders import model_folder

from llm_api.chat.plain_text import PlainText, RenderedPrompt
from llm_api.chat.template import ChatTemplate

TOKENS = ["<s>", "</s>", "<|end|>", "<|end|>2", "[INST]", "aba", "bab", "."]


def rendered(tmp_path: Path, source: str, *texts: str) -> RenderedPrompt:
    template = ChatTemplate(model_folder(tmp_path, chat_template=source))
    content = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    return PlainText(TOKENS).prompt([{"role": "user", "content": content}], template.prompt)


PLAIN = "<s>{{ messages[0].content }}</s>"
JOINED = "<s>{% for part in messages[0].content %}{{ part.text | trim }}{% endfor %}</s>"
STRIPPED = "<s>{{ messages[0].content | replace('<think>', '') }}</s>"
QUOTED = "<s>{{ messages[0].content | tojson }}</s>"
ESCAPED = "<s>{{ messages[0].content | tojson(ensure_ascii=true) }}</s>"
LOUD = "<s>{{ messages[0].content | upper | lower }}</s>"
ANSWER = "<s>{{ messages[0].content.split('</think>')[-1] }}</s>"
THOUGHT = "<s>{{ messages[0].content.split('[INST]')[-1] }}</s>"


@pytest.mark.parametrize(
    ("source", "texts", "text"),
    [
        (PLAIN, ["a<|end|>b"], "a<|end|>b"),
        (PLAIN, ["<<|end|>2"], "<<|end|>2"),
        (PLAIN, ["</s><s>"], "</s><s>"),
        (PLAIN, ["[INST]"], "[INST]"),
        (PLAIN, ["ababa"], "ababa"),
        (JOINED, ["a<|en", "d|>b"], "a<|end|>b"),
        (JOINED, ["a<  ", "  |end|>b"], "a<|end|>b"),
        (STRIPPED, ["a<|en<think>d|>b"], "a<|en<think>d|>b"),
        (QUOTED, ["<|end|>"], '"<|end|>"'),
        (ESCAPED, ["é<|end|>"], r'"\u00e9<|end|>"'),
        (LOUD, ["<|end|>"], "<|end|>"),
        (ANSWER, ["<think>no</think>a<|end|>b"], "a<|end|>b"),
        (THOUGHT, ["a[INST]b<|end|>"], "b<|end|>"),
    ],
)
def test_control_tokens_of_the_template_are_apart_from_the_text(tmp_path: Path, source: str, texts: list[str], text: str) -> None:
    prompt = rendered(tmp_path, source, *texts)
    assert prompt.parts == ["", "<s>", text, "</s>", ""]
    assert prompt.text == f"<s>{text}</s>"


@pytest.mark.parametrize("text", ["plain", "a < b", "<|end|", "<|end>", "[INST", "1.5"])
def test_text_without_them_is_not_in_parts(tmp_path: Path, text: str) -> None:
    assert rendered(tmp_path, PLAIN, text) == RenderedPrompt(f"<s>{text}</s>")


def test_a_template_without_control_tokens_has_only_text(tmp_path: Path) -> None:
    assert rendered(tmp_path, "USER: {{ messages[0].content }}", "a</s>b") == RenderedPrompt("USER: a</s>b", ["USER: a</s>b"])


def test_a_vocabulary_without_control_tokens_has_only_text(tmp_path: Path) -> None:
    template = ChatTemplate(model_folder(tmp_path, chat_template=PLAIN))
    assert PlainText([]).prompt([{"role": "user", "content": "<s>"}], template.prompt) == RenderedPrompt("<s><s></s>")
