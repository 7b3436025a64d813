"""The architectures of GGUF files that are read. Each is a list of parts: what the file's keys and tensors say about the config.

Nothing is left to the default of a config class where files differ: a part sets it. The names and defaults are llama.cpp's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf import layouts
from llm_api.weights.gguf.header import Header
from llm_api.weights.gguf.layouts import Join, Layout
from llm_api.weights.gguf.rope import rope_parameters

Settings = dict[str, Any]
Part = Callable[[Header], Settings]


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


def key(name: str, setting: str, *default: Any) -> Part:
    return lambda header: {setting: header.uniform(name, *default)}


def fixed(**settings: Any) -> Part:
    return lambda header: settings


def present(setting: str, ending: str) -> Part:
    """True where the first layer has the tensor."""
    return lambda header: {setting: header.has(ending)}


def head_dim(header: Header) -> int:
    plain = header.own("embedding_length") // header.uniform("attention.head_count")
    size, value_size = (header.own(f"attention.{name}_length", plain) for name in ("key", "value"))
    if size != value_size:
        raise UnsupportedModel(f"{header.architecture}.attention.value_length is not key_length: such models are not supported.")
    return int(size)


def heads(header: Header) -> Settings:
    count = header.uniform("attention.head_count")
    return {
        "num_attention_heads": count,
        "num_key_value_heads": header.uniform("attention.head_count_kv", count),
        "head_dim": head_dim(header),
    }


def rope(header: Header) -> Settings:
    """For families that rotate whole heads."""
    size = head_dim(header)
    if (rotated := header.own("rope.dimension_count", size)) != size:
        raise UnsupportedModel(f"{header.architecture}.rope.dimension_count is {rotated}, but heads have {size}: that is not supported.")
    return partial_rope(header)


def partial_rope(header: Header) -> Settings:
    return {"rope_parameters": rope_parameters(header, head_dim(header))}


def gpt_oss_rope(header: Header) -> Settings:
    """YaRN's bounds are not rounded to whole dimensions; no key says so."""
    return {"rope_parameters": rope_parameters(header, head_dim(header)) | {"truncate": False}}


def two_ropes(header: Header) -> Settings:
    """Layers with a sliding window have a base of their own, and no scaling."""
    full = rope_parameters(header, head_dim(header))
    local = header.own("rope.freq_base_swa", LOCAL_THETA.get(header.architecture, full["rope_theta"]))
    sliding = {"rope_type": "default", "rope_theta": float(local)}
    return {"rope_parameters": {"full_attention": full, "sliding_attention": sliding}}


def unused(name: str) -> Part:
    """Converters write the key, and nothing uses it."""

    def part(header: Header) -> Settings:
        header.own(name, None)
        return {}

    return part


def original_context(header: Header) -> Settings:
    """Phi-3 has it outside the rotary parameters, too."""
    return {"original_max_position_embeddings": header.own("rope.scaling.original_context_length", header.own("context_length"))}


def window(header: Header) -> Settings:
    """For families whose layers all have the window, if any has."""
    return {"sliding_window": header.own("attention.sliding_window", 0) or None}


def windows(period: int, default: int | None = None) -> Part:
    """The last layer of each period sees the whole context, unless the file says which layers have a window."""

    def part(header: Header) -> Settings:
        window = header.own("attention.sliding_window", default) or None
        pattern = header.own("attention.sliding_window_pattern", period)
        if not isinstance(pattern, list):
            pattern = [number % pattern < pattern - 1 for number in range(header.own("block_count"))]
        slides = [bool(window and slid) for slid in pattern]
        return {"sliding_window": window, "layer_types": ["sliding_attention" if slid else "full_attention" for slid in slides]}

    return part


def tokens(header: Header) -> Settings:
    """The rows of the embedding are the vocabulary; what the file says of it must agree."""
    rows = int(header.tensors["token_embd.weight"].shape[1]) if "token_embd.weight" in header.tensors else 0
    said = header.own("vocab_size", rows)
    if said != rows:
        raise UnsupportedModel(f"{header.architecture}.vocab_size is {said}, but token_embd.weight has {rows} rows.")
    ids = {name: header.get(f"tokenizer.ggml.{key}_token_id") for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}
    return {
        "vocab_size": rows,
        "tie_word_embeddings": "output.weight" not in header.tensors,
        **{f"{name}_token_id": value for name, value in ids.items()},
    }


def no_experts(header: Header) -> Settings:
    if header.own("expert_count", 0) or header.own("expert_used_count", 0):
        raise UnsupportedModel(f"experts in the architecture {header.architecture!r} are not supported.")
    return {}


def gemma_scale(header: Header) -> Settings:
    """The 27B models of Gemma 2 (46 layers) and 3 (62 layers) scale by another size than that of a head."""
    if header.own("block_count") in (46, 62):
        return {"query_pre_attn_scalar": header.own("embedding_length") // header.uniform("attention.head_count")}
    return {"query_pre_attn_scalar": head_dim(header)}


def bloom_sizes(header: Header) -> Settings:
    """The config class has no setting for these: each has one value."""
    count, width = header.uniform("attention.head_count"), 4 * header.own("embedding_length")
    for name, only in (("attention.head_count_kv", count), ("feed_forward_length", width)):
        if (said := header.own(name, only)) != only:
            raise UnsupportedModel(f"bloom.{name} is {said}, but only {only} is supported.")
    return {}


def falcon_layout(header: Header) -> Settings:
    """Falcon 40B has a second norm in each layer; 7B has one, and one head of keys and values."""
    new, kv_heads = header.has("attn_norm_2.weight"), header.uniform("attention.head_count_kv", 1)
    if not new and kv_heads != 1:
        raise UnsupportedModel("falcon.attention.head_count_kv with one norm in a layer (Falcon 11B) is not supported.")
    return {
        "num_attention_heads": header.uniform("attention.head_count"),
        "num_kv_heads": kv_heads,
        "multi_query": True,
        "parallel_attn": True,
        "new_decoder_architecture": new,
        "bias": False,
        "alibi": False,
    }


LOCAL_THETA = {"gemma3": 10000.0}
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
            *_DECODER,
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
