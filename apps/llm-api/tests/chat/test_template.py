from pathlib import Path
from typing import Any

import pytest
from chat.model_folders import model_folder

from llm_api.chat.template import ChatTemplate, ChatTemplateError
from llm_api.chat.template_files import UnusableTemplate

USER = {"role": "user", "content": "hello"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}


def template(tmp_path: Path, source: str) -> ChatTemplate:
    return ChatTemplate(model_folder(tmp_path, chat_template=source))


def test_a_refusal_of_the_template_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(ChatTemplateError, match="roles must alternate user/assistant"):
        ChatTemplate(model_folder(tmp_path, "gemma_3")).prompt([USER, USER])


@pytest.mark.parametrize(
    "expression",
    [
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ dict.mro() }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% set ns = namespace(__class__=1) %}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}",
        "{{ 1 / 0 }}",
        "{{ messages['content'] + 1 }}",
        "{{ absent.content }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ {1: raise_exception} | tojson }}",
        "{{ strftime_now(1) }}",
        "{{ cycler().next() }}",
        "{{ messages[0]['content'] | int('x', base=99) // 'a' }}",
    ],
)
def test_forbidden_and_failing_expressions_are_one_clear_error(tmp_path: Path, expression: str) -> None:
    with pytest.raises(ChatTemplateError, match="cannot render these messages"):
        template(tmp_path, expression).prompt([USER])


def test_a_model_without_a_template_points_to_completions(tmp_path: Path) -> None:
    with pytest.raises(ChatTemplateError, match="/v1/completions"):
        ChatTemplate(model_folder(tmp_path)).prompt([USER])


@pytest.mark.parametrize("source", ["{% if %}", "{% break %}", "{{ 1 | unknown }}", "{{ " + "(" * 9999, "{% generation %}"])
def test_a_broken_template_is_refused_at_the_start(tmp_path: Path, source: str) -> None:
    with pytest.raises(UnusableTemplate, match="chat template is not valid"):
        template(tmp_path, source)


@pytest.mark.parametrize(
    ("name", "message", "expected"),
    [
        ("qwen_2_5", PARTS, "one two<|im_end|>"),
        ("qwen_2_5", USER, "hello<|im_end|>"),
        ("llama_3_2", PARTS, "one two<|eot_id|>"),
        ("parts", USER, "User: hello"),
        ("parts", PARTS, "User: onetwo"),
        ("gemma_3", PARTS, "user onetwo<end_of_turn>"),
        ("gemma_3", USER, "user hello<end_of_turn>"),
    ],
)
def test_content_takes_the_form_the_template_reads(tmp_path: Path, name: str, message: dict[str, Any], expected: str) -> None:
    prompt = ChatTemplate(model_folder(tmp_path, name)).prompt([message])
    assert expected in " ".join(prompt.split())


def test_developer_is_system_unless_the_template_has_developer(tmp_path: Path) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, USER]
    assert "system\nBe brief." in ChatTemplate(model_folder(tmp_path / "qwen_2_5", "qwen_2_5")).prompt(messages)
    knows = template(tmp_path / "own", "{% for m in messages %}{% if m.role == 'developer' %}<dev>{% endif %}{{ m.content }}{% endfor %}")
    assert knows.prompt(messages) == "<dev>Be brief.hello"


def test_messages_are_not_modified(tmp_path: Path) -> None:
    message = {"role": "developer", "content": [{"type": "text", "text": "one"}], "name": None}
    before = repr(message)
    ChatTemplate(model_folder(tmp_path, "qwen_2_5")).prompt([message, USER])
    assert repr(message) == before


def test_the_variables_of_a_template_are_those_that_requests_may_set(tmp_path: Path) -> None:
    source = (
        "{{ bos_token }}{{ messages }}{{ tools }}{% set x = 1 %}"
        "{% if enable_thinking and x %}{{ raise_exception('') }}{% endif %}{{ style.a }}"
    )
    assert template(tmp_path, source).variables == {"enable_thinking", "style"}
