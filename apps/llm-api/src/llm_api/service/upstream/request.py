"""The body for the engine: our fields under its names, every default explicit. A field that it would drop is refused by name."""

from collections.abc import Mapping
from typing import Any

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.request import GenerationRequest
from llm_api.service.upstream.kind import Kind
from llm_api.service.upstream.messages import messages, tool_fields

# Of the front, or written below under the engine's names.
HANDLED = frozenset(
    {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "repeat_penalty", "stop", "seed",
        "structured_outputs", "tools", "tool_choice", "functions", "function_call", "reasoning_effort", "enable_thinking",
        "chat_template_kwargs", "modalities", "user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "store",
    }
)  # fmt: skip
WITHOUT_EFFECT = frozenset({"priority"})  # on the answer
NEUTRAL: Mapping[str, tuple[Any, ...]] = {  # values that ask for nothing
    "n": (1,), "best_of": (1,), "top_k": (0, -1), "min_p": (0,), "repetition_penalty": (1,), "logit_bias": ({},),
    "presence_penalty": (0,), "frequency_penalty": (0,), "top_p": (1,),
    "min_tokens": (0,), "stop_token_ids": ([],), "bad_words": ([],), "skip_special_tokens": (True,), "add_generation_prompt": (True,),
    "include_reasoning": (True,), "parallel_tool_calls": (True,), "suffix": ("",), "priority": (0,),
}  # fmt: skip


def chat_body(request: ChatCompletionRequest, kind: Kind, model: str) -> tuple[dict[str, Any], list[str]]:
    """The body, and the request's fields that have no effect on this engine. Raises InvalidRequest."""
    body, ignored = _shared(request, kind, model)
    body["messages"] = messages(request)
    body |= tool_fields(request, kind)
    if (limit := request.token_limit or kind.completion_tokens) is not None:
        body["max_tokens"] = limit
    if kind.own_response_format and request.response_format is not None:
        body |= _of_response_format(body.pop("response_format"), kind)
    for field in ("reasoning_effort", "chat_template_kwargs"):
        if getattr(request, field) is not None:
            _add(body, kind, field, getattr(request, field))
    if request.enable_thinking is not None:
        variables = body.pop("chat_template_kwargs", {})
        _add(body, kind, "chat_template_kwargs", {"enable_thinking": request.enable_thinking, **variables}, param="enable_thinking")
    return body, ignored


def completion_body(request: CompletionRequest, kind: Kind, model: str) -> tuple[dict[str, Any], list[str]]:
    """As `chat_body`."""
    _check_prompts(request, kind)
    body, ignored = _shared(request, kind, model)
    body["max_tokens"] = request.token_limit
    return body, ignored


def _check_prompts(request: CompletionRequest, kind: Kind) -> None:
    if kind.prompts != "all" and not isinstance(request.prompts[0], str):
        raise InvalidRequest(f"'prompt' has token ids, which {kind.title} behind this server does not take: send texts.", param="prompt")
    if kind.prompts == "one text" and len(request.prompts) > 1:
        raise InvalidRequest(f"'prompt' has several texts; {kind.title} behind this server takes one.", param="prompt")
    for field in kind.only_in_chat:
        if getattr(request, field, None) is not None:
            raise _unavailable(field, kind)


def _shared(request: GenerationRequest, kind: Kind, model: str) -> tuple[dict[str, Any], list[str]]:
    body: dict[str, Any] = {"model": kind.sent_model or model, **kind.defaults}
    ignored = []
    given = request.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, exclude=set(HANDLED))
    if request.repeat_penalty is not None:
        given.setdefault("repetition_penalty", request.repeat_penalty)
    for field, value in given.items():
        if field in WITHOUT_EFFECT and field not in kind.fields:
            ignored += [] if _is_neutral(field, value) else [field]
        elif field in kind.unsent and value == kind.unsent[field]:
            continue
        elif field in kind.fields or not _is_neutral(field, value):
            _add(body, kind, field, value)
    if request.stop_strings:
        _add(body, kind, "stop", list(request.stop_strings))
    if request.seed is not None:
        _add(body, kind, "seed", request.seed % (kind.max_seed + 1) if not 0 <= request.seed <= kind.max_seed else request.seed)
    if request.structured_outputs is not None:
        body |= _form(request.structured_outputs.model_dump(by_alias=True, exclude_none=True), kind)
    if request.stream:
        body |= {"stream": True, "stream_options": _stream_options(request, kind)}
    return body, ignored


def _add(body: dict[str, Any], kind: Kind, field: str, value: Any, param: str | None = None) -> None:
    """`param`: the request's field, if it has another name. Raises InvalidRequest."""
    name = kind.fields.get(field)
    if name is None:
        raise _unavailable(param or field, kind)
    body[name] = value


def _is_neutral(field: str, value: Any) -> bool:
    return value is False or value in NEUTRAL.get(field, ())


def _form(outputs: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """structured_outputs, as the engine is asked for this form."""
    if "structured_outputs" in kind.fields:
        return {"structured_outputs": outputs}
    result: dict[str, Any] = {}
    for name, value in outputs.items():
        if name not in kind.forms:
            raise _unavailable(f"structured_outputs.{name}", kind)
        result |= kind.forms[name](value)
    return result


def _of_response_format(form: dict[str, Any], kind: Kind) -> dict[str, Any]:
    if form["type"] == "text":
        return {}
    schema = {"type": "object", "properties": {}} if form["type"] == "json_object" else form["json_schema"].get("schema", {})
    return dict(kind.forms["json"](schema))


def _stream_options(request: GenerationRequest, kind: Kind) -> dict[str, bool]:
    """The usage is always asked for, because it is counted; the client gets it if it asked."""
    return {"include_usage": True} | ({"continuous_usage_stats": True} if request.include_usage_in_chunks and kind.usage_in_chunks else {})


def _unavailable(field: str, kind: Kind) -> InvalidRequest:
    return InvalidRequest(
        f"'{field}' is not available: {kind.title}, which generates behind this server, does not have it; leave it out.",
        param=field,
        code="unsupported_parameter",
    )
