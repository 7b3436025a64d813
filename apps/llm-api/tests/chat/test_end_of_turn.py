"""The token that ends an assistant's answer is found in chat templates of many kinds."""

import json
from pathlib import Path

import pytest
from chat.model_folders import model_folder

from llm_api.chat.end_of_turn import end_of_turn, end_texts
from llm_api.chat.template import ChatTemplate

LOOP = "{% for m in messages %}"
HARMONY = LOOP + (
    "{% if m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
    "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
)
ROLES_ALONE = LOOP + "<|{{ m.role }}|>\n{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
ALWAYS_ASKS = LOOP + "<|head|>{{ m.role }}\n\n{{ m.content }}<|eot|>{% endfor %}<|head|>assistant\n\n"
ENDS_WITH_A_QUESTION = "{% if messages[-1].role != 'user' %}{{ raise_exception('ask') }}{% endif %}" + ALWAYS_ASKS
TAGGED = LOOP + "<answer>{{ m.content }}</answer><|im_end|>\n{% endfor %}"
WORDS = LOOP + "{{ m.role }}: {{ m.content }}\n{% endfor %}"
FAMILIES = {
    "chatml": "<|im_end|>", "command_r": "<|END_OF_TURN_TOKEN|>", "deepseek_v3": "<｜end▁of▁sentence｜>", "exaone_3_5": "[|endofturn|]",
    "falcon_3": "</s>", "gemma_3": "<end_of_turn>", "glm_4": "<|user|>", "gpt_oss": "<|return|>", "granite_3": "<|end_of_text|>",
    "llama_2": "</s>", "llama_3": "<|eot_id|>", "llama_4": "<|eot|>", "mistral_v3": "</s>", "nemotron_mini": "<extra_id_1>",
    "phi_3": "<|end|>", "phi_4": "<|im_end|>", "qwen_3": "<|im_end|>", "smollm_3": "<|im_end|>", "zephyr": "</s>", "alpaca": None,
}  # fmt: skip
BEGINNINGS = {
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|im_start|>",
    "<|assistant|>",
    "<|start_header_id|>",
    "<start_of_turn>",
    "<|head|>",
}
SPECIAL = BEGINNINGS | {token for token in FAMILIES.values() if token}
ADDED = SPECIAL | {"<answer>", "</answer>", "\n", "  ", "<end_of_utterance>"}


@pytest.mark.parametrize(("name", "expected"), FAMILIES.items())
def test_a_family_s_template_has_its_token(tmp_path: Path, name: str, expected: str | None) -> None:
    assert end_of_turn(ChatTemplate(model_folder(tmp_path, name)), SPECIAL, ADDED) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(HARMONY, "<|return|>", id="within a chat, another token ends a part of the answer"),
        pytest.param(ROLES_ALONE, "<|user|>", id="the next role ends a turn"),
        pytest.param(ALWAYS_ASKS, "<|eot|>", id="the template begins an answer without being asked"),
        pytest.param(ENDS_WITH_A_QUESTION, "<|eot|>", id="the template refuses a chat that ends with an answer"),
        pytest.param(TAGGED, "<|im_end|>", id="a tag that is a token closes the text"),
        pytest.param(
            "{% for m in messages %}{{ m.content }} <end_of_utterance>{% endfor %}", "<end_of_utterance>", id="not declared special"
        ),
        pytest.param(WORDS, None, id="words alone"),
        pytest.param("{{ messages[0].content }}", None, id="answers are not shown"),
        pytest.param(None, None, id="no template"),
    ],
)
def test_the_token_after_an_answer(tmp_path: Path, source: str | None, expected: str | None) -> None:
    folder = model_folder(tmp_path)
    if source is not None:
        (folder / "chat_template.jinja").write_text(source)
    assert end_of_turn(ChatTemplate(folder), SPECIAL, ADDED) == expected


def test_the_tokenizer_s_token_is_one_without_a_template(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    assert end_texts(ChatTemplate(folder), SPECIAL, ADDED) == {"</s>"}
    (folder / "tokenizer_config.json").unlink()
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    assert end_texts(ChatTemplate(folder), SPECIAL, ADDED) == {"<|im_end|>"}


def test_a_vocabulary_without_added_tokens_has_none(tmp_path: Path) -> None:
    assert end_of_turn(ChatTemplate(model_folder(tmp_path, "chatml")), (), ()) is None
