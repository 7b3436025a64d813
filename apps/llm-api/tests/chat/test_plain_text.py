"""No template turns text of a message into a special token, even if it changes the text."""

from pathlib import Path

import pytest
from chat.model_folders import model_folder

from llm_api.chat.plain_text import PlainText
from llm_api.chat.template import ChatTemplate

TOKENS = ["<s>", "</s>", "<|end|>", "<|end|>2", "[INST]", "."]


def parts(tmp_path: Path, source: str, *texts: str) -> list[str]:
    template = ChatTemplate(model_folder(tmp_path, chat_template=source))
    content = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    return PlainText(TOKENS, template.prompt).parts([{"role": "user", "content": content}])


PLAIN = "<s>{{ messages[0].content }}</s>"
JOINED = "<s>{% for part in messages[0].content %}{{ part.text | trim }}{% endfor %}</s>"
STRIPPED = "<s>{{ messages[0].content | replace('<think>', '') }}</s>"
QUOTED = "<s>{{ messages[0].content | tojson }}</s>"


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        (PLAIN, ["a<|end|>b"]),
        (PLAIN, ["</s><s>"]),
        (PLAIN, ["[INST]"]),
        (JOINED, ["a<|en", "d|>b"]),
        (JOINED, ["a<  ", "  |end|>b"]),
        (STRIPPED, ["a<|en<think>d|>b"]),
        (QUOTED, ["<|end|>"]),
    ],
)
def test_special_tokens_of_the_template_are_not_split(tmp_path: Path, source: str, texts: list[str]) -> None:
    made = parts(tmp_path, source, *texts)
    assert [token for part in made for token in TOKENS[:-1] if token in part] == ["<s>", "</s>"]


@pytest.mark.parametrize("text", ["plain", "a < b", "<|end|", "<|end>", "[INST", "1.5"])
def test_text_without_them_stays_in_one_piece(tmp_path: Path, text: str) -> None:
    assert parts(tmp_path, PLAIN, text) == [f"<s>{text}</s>"]


def test_a_vocabulary_without_special_tokens_splits_nothing(tmp_path: Path) -> None:
    template = ChatTemplate(model_folder(tmp_path, chat_template=PLAIN))
    assert PlainText([], template.prompt).parts([{"role": "user", "content": "<s>"}]) == ["<s><s></s>"]
