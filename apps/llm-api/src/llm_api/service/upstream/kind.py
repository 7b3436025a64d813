"""What the front must know about an engine's API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

KindName = Literal["vllm", "sglang", "tensorrt-llm", "llama-server", "tgi", "triton", "openai"]
Form = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """owned_by: what its /v1/models says; None: it cannot be recognised by that.

    fields: the request fields that the engine honours, each with its name there. Others that change the output are refused.
    only_in_chat: those of them that text completions do not have.
    defaults: sent if the request does not have the field, because the engine, or the model's generation_config.json, has defaults of
    its own.
    unsent: a value that the engine refuses, or misunderstands, although it asks for nothing.
    forms: for engines without structured_outputs: the request's part that holds the answer to each form.
    own_response_format: response_format is sent as the form that it asks for.
    prompts: of text completions.
    completion_tokens: sent as max_tokens where the request has none, because the engine's own default is short.
    idle_timeout: seconds after which the engine closes an idle connection; ours are closed a second before.
    counters: Prometheus counters that move when the engine works; gauges: its names of our gauges.
    tokenizer: whose endpoints for tokens it has.
    names_functions: tool_choice may name one; else `required` with that one alone says the same.
    holds_strict_functions: it holds the arguments to the schema only if the function is strict.
    hides_length: it says `stop` where max_tokens ended the answer.
    """

    name: KindName
    title: str
    owned_by: str | None = None
    fields: Mapping[str, str]
    only_in_chat: frozenset[str] = frozenset()
    defaults: Mapping[str, Any]
    unsent: Mapping[str, Any] = field(default_factory=dict)
    forms: Mapping[str, Form] = field(default_factory=dict)
    own_response_format: bool = False
    prompts: Literal["all", "texts", "one text"] = "all"
    completion_tokens: int | None = None
    sent_model: str | None = None
    max_seed: int = 2**63 - 1
    names_functions: bool = True
    holds_strict_functions: bool = False
    health_path: str = "/health"
    info_path: str | None = None
    metrics_path: str | None = "/metrics"
    counters: tuple[str, ...] = ()
    gauges: Mapping[str, str] = field(default_factory=dict)
    idle_timeout: float = 5
    tokenizer: Literal["vllm", "llama-server"] | None = None
    hides_length: bool = False
    usage_in_chunks: bool = False
