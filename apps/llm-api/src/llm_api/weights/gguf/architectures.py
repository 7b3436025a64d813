"""The architectures of GGUF files that are read. Each is a list of parts: what the file's keys and tensors say about the config.

Nothing is left to the default of a config class where files differ: a part sets it. The names and defaults are llama.cpp's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf import layouts
from llm_api.weights.gguf.header import Header
from llm_api.weights.gguf.layouts import Join, Layout
from llm_api.weights.gguf.parts import (
    Part,
    bloom_sizes,
    falcon_layout,
    fixed,
    gemma_scale,
    gpt_oss_rope,
    granite_rope,
    heads,
    key,
    no_experts,
    original_context,
    partial_rope,
    present,
    rope,
    tokens,
    two_ropes,
    unused,
    window,
    windows,
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """`layouts`: for names of GGUF tensors, by regular expression. `joins`: for parameters of transformers that are not one tensor."""

    model_type: str
    parts: tuple[Part, ...]
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    joins: Mapping[str, Join] = field(default_factory=dict)


def architecture_of(header: Header) -> Architecture:
    """Raises UnsupportedModel for an architecture that is not in the table."""
    name = header.architecture
    if name == "llama" and header.own("expert_count", 0):
        name = "llama with experts"
    if name == "olmo2" and header.own("attention.sliding_window", 0):
        name = "olmo2 with a window"
    if name not in ARCHITECTURES:
        raise UnsupportedModel(f"GGUF files of the architecture {name!r} are not supported: use the model's safetensors files.")
    return ARCHITECTURES[name]


RMS, LAYER_NORM = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"

_SIZES = (
    key("context_length", "max_position_embeddings"),
    key("embedding_length", "hidden_size"),
    key("block_count", "num_hidden_layers"),
    key("feed_forward_length", "intermediate_size"),
)
_DECODER = (*_SIZES, heads, rope, tokens, no_experts)
_PARTLY_ROTATED = (*_SIZES, heads, partial_rope, tokens, no_experts)
_BIASES = (present("attention_bias", "attn_q.bias"), present("mlp_bias", "ffn_gate.bias"))
_EXPERTS = (key("expert_used_count", "num_experts_per_tok"), *_SIZES, heads, rope, tokens)
_EXPERT_SIZE = key("expert_feed_forward_length", "moe_intermediate_size")
_GEMMA = (*_SIZES, heads, tokens, no_experts, key(RMS, "rms_norm_eps"))

_ROTATED = {r"attn_q\.": layouts.unpermute_queries, r"attn_k\.": layouts.unpermute_keys}
_MINUS_ONE = {r"norm\.weight": layouts.minus_one}

ARCHITECTURES = {
    "llama": Architecture("llama", (*_DECODER, key(RMS, "rms_norm_eps"), *_BIASES), _ROTATED),
    "llama with experts": Architecture(
        "mixtral",
        (*_EXPERTS, key(RMS, "rms_norm_eps"), key("expert_count", "num_local_experts"), fixed(sliding_window=None)),
        _ROTATED,
        layouts.EXPERTS,
    ),
    "qwen2": Architecture("qwen2", (*_DECODER, key(RMS, "rms_norm_eps"), fixed(use_sliding_window=False))),
    "qwen2moe": Architecture(
        "qwen2_moe",
        (
            *_EXPERTS,
            key(RMS, "rms_norm_eps"),
            key("expert_count", "num_experts"),
            _EXPERT_SIZE,
            key("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
            fixed(norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False),
        ),
        {r"ffn_gate_inp_shexp\.": layouts.one_row},
        layouts.EXPERTS,
    ),
    "qwen3": Architecture(
        "qwen3", (*_DECODER, key(RMS, "rms_norm_eps"), present("attention_bias", "attn_q.bias"), fixed(use_sliding_window=False))
    ),
    "qwen3moe": Architecture(
        "qwen3_moe",
        (
            *_EXPERTS,
            key(RMS, "rms_norm_eps"),
            key("expert_count", "num_experts"),
            _EXPERT_SIZE,
            fixed(norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False, attention_bias=False),
        ),
        joins=layouts.EXPERTS,
    ),
    "gemma": Architecture("gemma", (*_GEMMA, rope, fixed(hidden_act="gelu_pytorch_tanh", attention_bias=False)), _MINUS_ONE),
    "gemma2": Architecture(
        "gemma2",
        (
            *_GEMMA,
            rope,
            windows(2, 4096),
            gemma_scale,
            key("attn_logit_softcapping", "attn_logit_softcapping", 50.0),
            key("final_logit_softcapping", "final_logit_softcapping", 30.0),
        ),
        _MINUS_ONE,
    ),
    "gemma3": Architecture(
        "gemma3_text",
        (*_GEMMA, two_ropes, windows(6), gemma_scale, key("final_logit_softcapping", "final_logit_softcapping", None)),
        _MINUS_ONE,
    ),
    "phi3": Architecture("phi3", (*_PARTLY_ROTATED, key(RMS, "rms_norm_eps"), window, original_context)),
    "phi2": Architecture("phi", (*_PARTLY_ROTATED, key(LAYER_NORM, "layer_norm_eps"), fixed(qk_layernorm=False))),
    "gpt2": Architecture(
        "gpt2",
        (
            key("context_length", "n_positions"),
            key("embedding_length", "n_embd"),
            key("block_count", "n_layer"),
            key("feed_forward_length", "n_inner"),
            key("attention.head_count", "n_head"),
            key(LAYER_NORM, "layer_norm_epsilon"),
            tokens,
        ),
        {r"blk\.\d+\.(attn_qkv|attn_output|ffn_up|ffn_down)\.weight": layouts.transposed},
    ),
    "starcoder2": Architecture(
        "starcoder2", (*_DECODER, key(LAYER_NORM, "norm_epsilon"), present("use_bias", "attn_q.bias"), fixed(sliding_window=None))
    ),
    "stablelm": Architecture(
        "stablelm",
        (
            *_PARTLY_ROTATED,
            key(LAYER_NORM, "layer_norm_eps"),
            key("use_parallel_residual", "use_parallel_residual", False),
            present("use_qkv_bias", "attn_q.bias"),
            present("qk_layernorm", "attn_q_norm.weight"),
        ),
        joins=layouts.NORM_OF_EACH_HEAD,
    ),
    "falcon": Architecture(
        "falcon",
        (
            key("context_length", "max_position_embeddings"),
            key("embedding_length", "hidden_size"),
            key("block_count", "num_hidden_layers"),
            key("feed_forward_length", "ffn_hidden_size"),
            key(LAYER_NORM, "layer_norm_epsilon"),
            falcon_layout,
            rope,
            tokens,
        ),
        {r"attn_qkv\.": layouts.falcon_groups},
    ),
    "bloom": Architecture(
        "bloom",
        (
            key("context_length", "seq_length"),
            key("embedding_length", "hidden_size"),
            key("block_count", "n_layer"),
            key("attention.head_count", "n_head"),
            key(LAYER_NORM, "layer_norm_epsilon"),
            bloom_sizes,
            tokens,
        ),
        {r"attn_qkv\.": layouts.bloom_heads},
    ),
    "nemotron": Architecture("nemotron", (*_PARTLY_ROTATED, key(LAYER_NORM, "norm_eps"), unused(RMS), *_BIASES), _MINUS_ONE),
    "granite": Architecture(
        "granite",
        (
            *_SIZES,
            heads,
            granite_rope,
            tokens,
            no_experts,
            key(RMS, "rms_norm_eps"),
            *_BIASES,
            key("embedding_scale", "embedding_multiplier", 1.0),
            key("residual_scale", "residual_multiplier", 1.0),
            key("attention.scale", "attention_multiplier"),
            key("logit_scale", "logits_scaling"),
        ),
        _ROTATED,
    ),
    "olmo2": Architecture("olmo2", (*_DECODER, key(RMS, "rms_norm_eps"), fixed(attention_bias=False))),
    "olmo2 with a window": Architecture(
        "olmo3", (*_SIZES, heads, two_ropes, windows(4), tokens, no_experts, key(RMS, "rms_norm_eps"), fixed(attention_bias=False))
    ),
    "command-r": Architecture(
        "cohere",
        (
            *_DECODER,
            key(LAYER_NORM, "layer_norm_eps"),
            key("logit_scale", "logit_scale"),
            present("use_qk_norm", "attn_q_norm.weight"),
            fixed(attention_bias=False),
        ),
    ),
    "glm4": Architecture("glm4", (*_PARTLY_ROTATED, key(RMS, "rms_norm_eps"), present("attention_bias", "attn_q.bias"))),
    "smollm3": Architecture(
        "smollm3",
        (*_DECODER, key(RMS, "rms_norm_eps"), *_BIASES, fixed(no_rope_layer_interval=4, use_sliding_window=False)),
        _ROTATED,
    ),
    "exaone4": Architecture("exaone4", (*_DECODER, key(RMS, "rms_norm_eps"), windows(4))),
    "seed_oss": Architecture("seed_oss", (*_DECODER, key(RMS, "rms_norm_eps"), present("attention_bias", "attn_q.bias"), *_BIASES)),
    "gpt-oss": Architecture(
        "gpt_oss",
        (
            *_SIZES,
            heads,
            gpt_oss_rope,
            tokens,
            key("expert_used_count", "num_experts_per_tok"),
            key(RMS, "rms_norm_eps"),
            key("expert_count", "num_local_experts"),
            windows(2),
            present("attention_bias", "attn_q.bias"),
            key("expert_feed_forward_length", "intermediate_size"),
        ),
        joins=layouts.GPT_OSS,
    ),
}
