"""Parts of a config: each says what some keys and tensors of a GGUF mean in transformers' words. The defaults are llama.cpp's."""

from collections.abc import Callable
from typing import Any

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.header import Header
from llm_api.weights.gguf.rope import rope_parameters

Settings = dict[str, Any]
Part = Callable[[Header], Settings]

LOCAL_THETA = {"gemma3": 10000.0}  # of layers with a sliding window, where the file does not say


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


def granite_rope(header: Header) -> Settings:
    """Granite's files say with this key that nothing is rotated."""
    if not header.own("rope.scaling.finetuned", True):
        raise UnsupportedModel("granite.rope.scaling.finetuned is false: Granite without rotary embeddings is not supported.")
    return rope(header)
