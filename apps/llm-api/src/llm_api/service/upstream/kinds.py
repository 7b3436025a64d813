"""The engines, and how each one's API differs from ours. The versions whose sources were read: docs/reference/engines.md."""

from llm_api.service.upstream.forms import (
    choice_as_gbnf,
    choice_as_regex,
    field,
    json_object,
    json_schema,
    response_format,
    schema_of_llama,
    value_of_tgi,
)
from llm_api.service.upstream.kind import Kind


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


SAMPLING = _same("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")
TOOLS = _same("tools", "tool_choice")
OPENAI = _same("prompt", "n", "logprobs", "top_logprobs", "response_format", "parallel_tool_calls") | SAMPLING | TOOLS
EXTENDED = OPENAI | _same(  # of the engines on torch
    "logit_bias", "echo", "top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids", "skip_special_tokens",
    "chat_template_kwargs", "reasoning_effort",
)  # fmt: skip
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
EXTENDED_NEUTRAL = NEUTRAL | {"min_p": 0.0, "repetition_penalty": 1.0}

VLLM = Kind(
    name="vllm",
    title="vLLM",
    owned_by="vllm",
    fields=EXTENDED
    | _same(
        "include_stop_str_in_output", "bad_words", "allowed_token_ids", "truncate_prompt_tokens", "add_special_tokens", "prompt_logprobs",
        "return_token_ids", "return_tokens_as_token_ids", "add_generation_prompt", "continue_final_message", "include_reasoning",
        "structured_outputs",
    ),
    defaults=EXTENDED_NEUTRAL | {"top_k": 0},
    counters=("vllm:iteration_tokens_total_count", "vllm:generation_tokens_total", "vllm:prompt_tokens_total"),
    gauges={
        "running": "vllm:num_requests_running",
        "waiting": "vllm:num_requests_waiting",
        "kv_cache_usage": "vllm:kv_cache_usage_perc",
        "preemptions": "vllm:num_preemptions_total",
        "prefix_cache_queries": "vllm:prefix_cache_queries_total",
        "prefix_cache_hits": "vllm:prefix_cache_hits_total",
    },
    tokenizer="vllm",
    holds_strict_functions=True,
    usage_in_chunks=True,
)  # fmt: skip

SGLANG = Kind(
    name="sglang",
    title="SGLang",
    owned_by="sglang",
    fields=EXTENDED | _same("return_token_ids", "continue_final_message") | {"include_stop_str_in_output": "no_stop_trim"},
    defaults=EXTENDED_NEUTRAL | {"top_k": -1},
    unsent={"top_k": 0},
    forms={
        "json": json_schema,
        "regex": field("regex"),
        "choice": choice_as_regex(field("regex")),
        "grammar": field("ebnf"),
        "json_object": json_object,
    },
    health_path="/ready",  # /health generates a token
    counters=("sglang:realtime_tokens_total", "sglang:generation_tokens_total"),
    gauges={
        "running": "sglang:num_running_reqs",
        "waiting": "sglang:num_queue_reqs",
        "kv_cache_usage": "sglang:token_usage",
    },
    tokenizer="vllm",
    holds_strict_functions=True,
    usage_in_chunks=True,
)  # fmt: skip

TENSORRT_LLM = Kind(
    name="tensorrt-llm",
    title="trtllm-serve",
    owned_by="tensorrt_llm",
    fields=EXTENDED | _same("best_of", "include_stop_str_in_output", "add_special_tokens", "add_generation_prompt"),
    defaults=EXTENDED_NEUTRAL | {"top_k": 0},
    unsent={"top_k": -1},
    forms={
        "json": json_schema,
        "regex": response_format("regex", "regex"),
        "choice": choice_as_regex(response_format("regex", "regex")),
        "grammar": response_format("ebnf", "ebnf"),
        "json_object": json_object,
    },
    metrics_path="/prometheus/metrics",  # a GET of /metrics would take the statistics from other readers
    gauges={
        "running": "trtllm_num_requests_running",
        "waiting": "trtllm_num_requests_waiting",
        "kv_cache_usage": "trtllm_kv_cache_utilization",
    },
)  # fmt: skip

LLAMA_SERVER = Kind(
    name="llama-server",
    title="llama-server",
    owned_by="llamacpp",
    fields=OPENAI
    | _same(
        "logit_bias", "top_k", "min_p", "ignore_eos", "chat_template_kwargs", "add_generation_prompt", "continue_final_message",
        "reasoning_effort",
    )
    | {"repetition_penalty": "repeat_penalty"},
    defaults=NEUTRAL | {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
    forms={"json": schema_of_llama, "grammar": field("grammar"), "choice": choice_as_gbnf, "json_object": json_object},
    max_seed=2**32 - 2,  # its highest seed means a random one
    names_functions=False,
    counters=("llamacpp:n_decode_total",),
    gauges={"running": "llamacpp:requests_processing", "waiting": "llamacpp:requests_deferred"},
    tokenizer="llama-server",
)  # fmt: skip

TGI = Kind(
    name="tgi",
    title="TGI",
    fields=_same("prompt", "temperature", "top_p", "frequency_penalty", "seed", "stop", "logprobs", "top_logprobs", "response_format")
    | TOOLS,
    only_in_chat=frozenset({"logprobs", "top_logprobs"}),
    defaults={"temperature": 1.0, "frequency_penalty": 0.0},  # a presence_penalty of 0 would become a repetition_penalty of 2
    unsent={"top_p": 1},
    forms={"json": value_of_tgi("json"), "regex": value_of_tgi("regex"), "choice": choice_as_regex(value_of_tgi("regex"))},
    own_response_format=True,
    prompts="texts",
    sent_model="tgi",  # any other name is one of a LoRA adapter
    info_path="/info",
    counters=("tgi_batch_inference_count",),
    gauges={"running": "tgi_batch_current_size", "waiting": "tgi_queue_size"},
)

TRITON = Kind(
    name="triton",
    title="Triton's OpenAI frontend",
    owned_by="Triton Inference Server",
    fields=_same("prompt") | SAMPLING | TOOLS,
    defaults=NEUTRAL,
    prompts="one text",
    completion_tokens=2048,  # instead of 16
    health_path="/health/ready",
    counters=("nv_inference_exec_count", "nv_inference_request_success"),
    gauges={"waiting": "nv_inference_pending_request_count"},
    hides_length=True,
)

OTHER = Kind(name="openai", title="the engine", fields=OPENAI | _same("logit_bias", "echo"), defaults=NEUTRAL, metrics_path=None)

KINDS = {kind.name: kind for kind in (VLLM, SGLANG, TENSORRT_LLM, LLAMA_SERVER, TGI, TRITON, OTHER)}
