from pathlib import Path
from typing import Any

import msgspec
import pytest
from chat.model_folders import model_folder
from service.calls import answer_to, chat, completion
from service.conftest import Scripted, Serve
from service.scripted_engine import INFO, ScriptedEngine

from llm_api.chat.template import ChatTemplate
from llm_api.engine.messages import EngineState
from llm_api.protocol.errors import ApiError
from llm_api.service.engine_service import EngineService, EngineServiceConfig
from llm_api.telemetry.context import RequestContext
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer

LONG = "word " * 300

STRICT = EngineServiceConfig("m", 600, 60, request_fields="strict")


@pytest.fixture
def strict(tokenizer: Tokenizer, model_path: Path, metrics: Metrics) -> Serve:
    """A service that refuses what it would otherwise leave out."""
    template = ChatTemplate(model_path)
    return lambda engine: EngineService(STRICT, tokenizer, template, engine, metrics)


@pytest.mark.parametrize(
    ("request_", "param", "code", "message"),
    [
        (
            chat(LONG), "messages", "context_length_exceeded",
            r"length is 256 tokens. However, your messages resulted in 3\d\d tokens. Please reduce the length of the messages.",
        ),
        (
            chat("hi", max_completion_tokens=250), "messages", "context_length_exceeded",
            r"you requested 28\d tokens \(3\d in the messages, 250 in the completion\)",
        ),
        (completion(LONG), "prompt", "context_length_exceeded", "your prompt resulted in 301 tokens"),
        (completion(["hi", LONG]), r"prompt[1]", "context_length_exceeded", "your prompt resulted in"),
        (completion("hi", max_tokens=256), "prompt", "context_length_exceeded", r"257 tokens \(1 in the prompt, 256 in the completion\)"),
        (completion([1] * 256, max_tokens=0), "prompt", "context_length_exceeded", "resulted in 256 tokens"),
        (completion("x" * 100_000), "prompt", "context_length_exceeded", "resulted in at least 1"),
        (completion([5, 49152]), "prompt[1]", "invalid_value", "Token id 49152 .* at most 49151"),
        (completion([[5], [6, 7, 10**9]]), "prompt[1][2]", "invalid_value", "Token id 1000000000"),
        (completion([[49152]]), "prompt[0][0]", "invalid_value", "Token id 49152"),
        (completion(""), "prompt", "invalid_value", "'prompt' is empty"),
        (completion(["a", ""]), "prompt[1]", "invalid_value", r"'prompt\[1\]' is empty"),
        (chat(logit_bias={"49152": 1}), "logit_bias.49152", "invalid_value", "at most 49151"),
    ],
)  # fmt: skip
async def test_unsupported_requests_name_the_field(
    strict: Serve, scripted: Scripted, request_: Any, param: str, code: str | None, message: str
) -> None:
    engine = scripted("ok")
    answer = answer_to(strict(engine), request_)
    for consume in (answer.infer, lambda: anext(answer.stream_infer())):
        with pytest.raises(ApiError, match=message) as refused:
            await consume()
        assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)
    assert engine.requests == []


async def test_a_token_that_the_model_lacks_is_named(serve: Serve, scripted: Scripted) -> None:
    small = EngineState(phase="ready", info=msgspec.structs.replace(INFO, vocab_size=2))
    engine = scripted("ok", state=small)
    for request, param in ((completion(["<|endoftext|>", "<|im_end|>"]), "prompt[1]"), (chat("hi"), "messages")):
        with pytest.raises(ApiError, match=r"contains the token '.+' \(id \d+\), which this model does not have") as refused:
            await answer_to(serve(engine), request).infer()
        assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, "invalid_value")
    assert engine.requests == []


async def test_the_longest_prompt_that_fits_is_served(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("ok")
    await serve(engine).complete(completion([1] * 255, max_tokens=1)).infer()
    await serve(engine).chat(chat("hi")).infer()
    (_, sampling, _), (prompt, chat_sampling, _) = engine.requests
    assert sampling.max_tokens == 1
    assert chat_sampling.max_tokens == 256 - len(prompt)


async def test_a_template_that_refuses_the_messages_is_quoted(
    scripted: Scripted, tokenizer: Tokenizer, metrics: Metrics, tmp_path: Path
) -> None:
    template = ChatTemplate(model_folder(tmp_path, "gemma_3"))
    service = EngineService(EngineServiceConfig("m", 600, 60), tokenizer, template, scripted("ok"), metrics)
    request = chat().model_copy(update={"messages": [*chat("a").messages, *chat("b").messages]})
    with pytest.raises(ApiError, match="roles must alternate") as refused:
        await service.chat(request).infer()
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, "messages", "invalid_value")


NAMED = {"role": "user", "content": "hi", "name": "ann"}


async def test_a_name_that_the_template_does_not_use_is_refused(strict: Serve, scripted: Scripted) -> None:
    with pytest.raises(ApiError, match=r"chat template uses no name in a user message; leave it out") as refused:
        await strict(scripted("ok")).chat(chat(messages=[{"role": "assistant", "content": "a"}, NAMED, NAMED])).infer()
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, "messages[1].name", "unsupported_parameter")


async def test_a_name_that_the_template_does_not_use_is_ignored_by_default(
    serve: Serve, scripted: Scripted, context: RequestContext
) -> None:
    named, nameless = scripted("ok"), scripted("ok")
    await serve(named).chat(chat(messages=[NAMED])).infer()
    await serve(nameless).chat(chat(messages=[{"role": "user", "content": "hi"}])).infer()
    assert context.ignored_fields == ["messages[0].name"]
    assert named.requests[0][0] == nameless.requests[0][0]


async def test_the_mode_of_a_key_decides(serve: Serve, scripted: Scripted, context: RequestContext) -> None:
    context.request_fields = "strict"
    with pytest.raises(ApiError, match=r"chat template uses no name in a user message; leave it out"):
        await serve(scripted("ok")).chat(chat(messages=[NAMED])).infer()
    with pytest.raises(ApiError, match="257 tokens"):
        await serve(scripted("ok")).complete(completion("hi", max_tokens=256)).infer()


@pytest.mark.parametrize("reading", ["{{ m.name }}: ", "{% if m.role == 'user' %}{{ m.name.upper() }}{% endif %}"])
async def test_a_name_that_the_template_uses_reaches_the_model(
    scripted: Scripted, tokenizer: Tokenizer, metrics: Metrics, tmp_path: Path, reading: str
) -> None:
    template = ChatTemplate(model_folder(tmp_path, chat_template="{% for m in messages %}" + reading + "{{ m.content }}{% endfor %}"))
    engine = scripted("ok")
    service = EngineService(STRICT, tokenizer, template, engine, metrics)
    await service.chat(chat(messages=[NAMED])).infer()
    assert "ann" in tokenizer.decode(engine.requests[0][0]).lower()
    if "role" in reading:
        with pytest.raises(ApiError, match=r"messages\[1\].name"):
            await service.chat(chat(messages=[NAMED, {**NAMED, "role": "system"}])).infer()


async def test_a_model_without_a_template_points_to_completions(
    scripted: Scripted, tokenizer: Tokenizer, metrics: Metrics, tmp_path: Path
) -> None:
    service = EngineService(EngineServiceConfig("m", 600, 60), tokenizer, ChatTemplate(model_folder(tmp_path)), scripted("ok"), metrics)
    with pytest.raises(ApiError, match="/v1/completions") as refused:
        await service.chat(chat()).infer()
    assert refused.value.status == 400
    assert (await service.complete(completion()).infer()).choices[0].text == "ok"


@pytest.mark.parametrize("phase", ["loading", "warming", "failed"])
async def test_an_engine_that_is_not_ready_is_a_503(serve: Serve, phase: Any) -> None:
    service = serve(ScriptedEngine([[5]], state=EngineState(phase=phase)))
    with pytest.raises(ApiError) as refused:
        await service.chat(chat()).infer()
    assert refused.value.status == 503
    assert refused.value.headers["retry-after"]


async def test_sampling_reaches_the_engine_and_null_means_absent(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("ok")
    given: dict[str, Any] = {"temperature": 0.0, "top_p": 0.5, "top_k": 3, "min_p": 0.1, "frequency_penalty": 1.0, "presence_penalty": -1.0}
    given |= {"repetition_penalty": 1.2, "logit_bias": {5: 2.0}, "seed": -1, "ignore_eos": True, "max_tokens": 3}
    await serve(engine).chat(chat(**given, logprobs=True, top_logprobs=4)).infer()
    await serve(engine).chat(chat(**dict.fromkeys(given))).infer()
    (_, set_, _), (prompt, unset, _) = engine.requests
    assert {field: getattr(set_, field) for field in given} == given
    assert set_.logprobs == 4
    assert unset == type(unset)(max_tokens=INFO.max_model_len - len(prompt))


async def test_tools_are_refused_if_the_server_has_no_format_for_them(tokenizer: Tokenizer, model_path: Path, metrics: Metrics) -> None:
    config = EngineServiceConfig("m", 600, 60, tool_parser="none")
    engine = ScriptedEngine([[1]])
    service = EngineService(config, tokenizer, ChatTemplate(model_path), engine, metrics)
    with pytest.raises(ApiError, match="TOOL_PARSER=none") as error:
        await service.chat(chat("hi", tools=[{"type": "function", "function": {"name": "f"}}])).infer()
    assert (error.value.status, error.value.param, engine.requests) == (400, "tools", [])
