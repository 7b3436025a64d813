"""A model that became a GGUF and was converted back has the logits of the original, for every architecture.

The keys of each file are those that llama.cpp's converter writes for the same config.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from weights.gguf_converter import write_model
from weights.tiny_models import Keys, Tensors, vocabulary, write_gguf

from llm_api.weights.conversion_worker import convert_gguf
from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.architectures import ARCHITECTURES

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, HEAD_DIM, CONTEXT = 32, 48, 2, 4, 2, 16, 128
EPSILON, THETA = 1e-6, 50000.0


@dataclass(frozen=True)
class Case:
    """What differs from the sizes above, in transformers' words and in the file's."""

    architecture: str
    model_type: str
    settings: dict[str, Any] = field(default_factory=dict)
    keys: Keys = field(default_factory=dict)
    without: tuple[str, ...] = ()  # keys that converters of the architecture do not write
    tensors: Tensors = field(default_factory=dict)


SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
UNKNOWN_SIZES = {"gpt2": set(SIZES), "falcon": {"head_dim"}}  # of the config class
KEYS: Keys = {
    "context_length": CONTEXT,
    "embedding_length": HIDDEN,
    "feed_forward_length": INNER,
    "block_count": LAYERS,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.key_length": HEAD_DIM,
    "attention.value_length": HEAD_DIM,
    "rope.freq_base": THETA,
}
RMS = "attention.layer_norm_rms_epsilon"
PLAIN = "attention.layer_norm_epsilon"
NO_HEAD_DIM = ("attention.key_length", "attention.value_length")
NO_ROPE = (*NO_HEAD_DIM, "rope.freq_base")
OLD_NAMES = (*NO_ROPE, "attention.head_count_kv")


def rope(**more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": THETA} | more}


def rms(**more: Any) -> dict[str, Any]:
    return rope() | {"rms_norm_eps": EPSILON} | more


EXPERTS: Keys = {RMS: EPSILON, "expert_count": 4, "expert_used_count": 2}
SMALL_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
WINDOW = {"sliding_window": 8}
PLAIN_HEADS = {"head_dim": HIDDEN // HEADS}
PHI_3_FACTORS = {"short_factor": [1.0, 1.5, 2.0, 2.5], "long_factor": [2.0, 3.0, 4.0, 5.0]}
CASES = {
    "llama": Case("llama", "llama", rms(), {RMS: EPSILON}),
    "llama with biases": Case("llama", "llama", rms(attention_bias=True, mlp_bias=True), {RMS: EPSILON}),
    "llama tied": Case("llama", "llama", rms(tie_word_embeddings=True), {RMS: EPSILON}),
    "mixtral": Case("llama", "mixtral", rms(num_local_experts=4, num_experts_per_tok=2), EXPERTS),
    "qwen2": Case("qwen2", "qwen2", rms() | PLAIN_HEADS, {RMS: EPSILON}, NO_HEAD_DIM),
    "qwen2 yarn": Case(
        "qwen2",
        "qwen2",
        rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32) | {"rms_norm_eps": EPSILON} | PLAIN_HEADS,
        {RMS: EPSILON, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 32},
        NO_HEAD_DIM,
    ),
    "qwen2moe": Case(
        "qwen2moe",
        "qwen2_moe",
        rms(shared_expert_intermediate_size=40) | SMALL_EXPERTS | PLAIN_HEADS,
        EXPERTS | {"expert_feed_forward_length": 24, "expert_shared_feed_forward_length": 40},
        NO_HEAD_DIM,
    ),
    "qwen3": Case("qwen3", "qwen3", rms(), {RMS: EPSILON}),
    "qwen3moe": Case("qwen3moe", "qwen3_moe", rms(norm_topk_prob=True) | SMALL_EXPERTS, EXPERTS | {"expert_feed_forward_length": 24}),
    "gemma": Case("gemma", "gemma", rms(tie_word_embeddings=True), {RMS: EPSILON}),
    "gemma2": Case(
        "gemma2",
        "gemma2",
        rms(tie_word_embeddings=True, query_pre_attn_scalar=16, attn_logit_softcapping=3.0, final_logit_softcapping=2.0) | WINDOW,
        {RMS: EPSILON, "attention.sliding_window": 8, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0},
    ),
    "gemma3": Case(
        "gemma3",
        "gemma3_text",
        {
            "rms_norm_eps": EPSILON,
            "tie_word_embeddings": True,
            "num_hidden_layers": 7,
            "query_pre_attn_scalar": 16,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            },
        }
        | WINDOW,
        {
            RMS: EPSILON,
            "block_count": 7,
            "attention.sliding_window": 8,
            "rope.freq_base": 1e6,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    "phi3 with a window": Case("phi3", "phi3", rms() | WINDOW | PLAIN_HEADS, {RMS: EPSILON, "attention.sliding_window": 8}, NO_HEAD_DIM),
    "phi3 longrope": Case(
        "phi3",
        "phi3",
        rope(rope_type="longrope", original_max_position_embeddings=32, factor=4.0, **PHI_3_FACTORS)
        | {"rms_norm_eps": EPSILON, "original_max_position_embeddings": 32}
        | PLAIN_HEADS,
        {
            RMS: EPSILON,
            "attention.sliding_window": 0,
            "rope.scaling.original_context_length": 32,
            "rope.scaling.attn_factor": (1 + 2 / 5) ** 0.5,  # sqrt(1 + log(4) / log(32))
            "rope.dimension_count": 8,
        },
        NO_HEAD_DIM,
        {f"rope_factors_{name}.weight": np.array(PHI_3_FACTORS[f"{name}_factor"], np.float32) for name in ("short", "long")},
    ),
    "phi2": Case(
        "phi2",
        "phi",
        rope(rope_theta=10000.0, partial_rotary_factor=0.5) | {"layer_norm_eps": EPSILON, "num_key_value_heads": HEADS} | PLAIN_HEADS,
        {PLAIN: EPSILON, "attention.head_count_kv": HEADS, "rope.dimension_count": 4},
        NO_ROPE,
    ),
    "gpt2": Case(
        "gpt2",
        "gpt2",
        {"n_embd": HIDDEN, "n_inner": INNER, "n_layer": LAYERS, "n_head": HEADS, "n_positions": CONTEXT, "layer_norm_epsilon": EPSILON},
        {PLAIN: EPSILON},
        OLD_NAMES,
    ),
    "starcoder2": Case(
        "starcoder2", "starcoder2", rope() | {"norm_epsilon": EPSILON, "sliding_window": None} | PLAIN_HEADS, {PLAIN: EPSILON}, NO_HEAD_DIM
    ),
    "stablelm": Case(
        "stablelm",
        "stablelm",
        rope(rope_theta=10000.0, partial_rotary_factor=0.5) | {"layer_norm_eps": EPSILON, "use_qkv_bias": True} | PLAIN_HEADS,
        {PLAIN: EPSILON, "use_parallel_residual": False, "rope.dimension_count": 4},
        NO_ROPE,
    ),
    "falcon 7B": Case(
        "falcon",
        "falcon",
        {"num_kv_heads": 1, "multi_query": True, "layer_norm_epsilon": EPSILON, "ffn_hidden_size": INNER},
        {PLAIN: EPSILON, "attention.head_count_kv": 1, "tensor_data_layout": "jploski"},
        NO_ROPE,
    ),
    "falcon 40B": Case(
        "falcon",
        "falcon",
        {"num_kv_heads": 2, "new_decoder_architecture": True, "layer_norm_epsilon": EPSILON, "ffn_hidden_size": INNER},
        {PLAIN: EPSILON, "tensor_data_layout": "jploski"},
        NO_ROPE,
    ),
    "bloom": Case(
        "bloom",
        "bloom",
        {"n_layer": LAYERS, "n_head": HEADS, "layer_norm_epsilon": EPSILON},
        {PLAIN: EPSILON, "feed_forward_length": 4 * HIDDEN, "attention.head_count_kv": HEADS},
        NO_ROPE,
    ),
    "nemotron": Case(
        "nemotron",
        "nemotron",
        rope(partial_rotary_factor=0.5) | {"norm_eps": EPSILON},
        {RMS: EPSILON, PLAIN: EPSILON, "rope.dimension_count": 8, "rope.scaling.type": "none"},
    ),
    "granite": Case(
        "granite",
        "granite",
        rms(embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.25, attention_multiplier=0.125) | PLAIN_HEADS,
        {RMS: EPSILON, "embedding_scale": 12.0, "logit_scale": 8.0, "residual_scale": 0.25, "attention.scale": 0.125},
        NO_HEAD_DIM,
    ),
    "olmo2": Case("olmo2", "olmo2", rms() | PLAIN_HEADS, {RMS: EPSILON}, NO_HEAD_DIM),
    "olmo3": Case(
        "olmo2",
        "olmo3",
        {
            "rms_norm_eps": EPSILON,
            "num_hidden_layers": 5,
            "rope_parameters": {kind: {"rope_type": "default", "rope_theta": THETA} for kind in ("sliding_attention", "full_attention")},
        }
        | WINDOW
        | PLAIN_HEADS,
        {
            RMS: EPSILON,
            "block_count": 5,
            "attention.sliding_window": 8,
            "attention.sliding_window_pattern": [True, True, True, False, True],
        },
        NO_HEAD_DIM,
    ),
    "command-r": Case(
        "command-r",
        "cohere",
        rope() | {"layer_norm_eps": EPSILON, "logit_scale": 0.25, "tie_word_embeddings": True} | PLAIN_HEADS,
        {PLAIN: EPSILON, "logit_scale": 0.25, "rope.scaling.type": "none"},
        NO_HEAD_DIM,
    ),
    "glm4": Case("glm4", "glm4", rope(partial_rotary_factor=0.5) | {"rms_norm_eps": EPSILON}, {RMS: EPSILON, "rope.dimension_count": 8}),
    "smollm3": Case(
        "smollm3",
        "smollm3",
        rms(num_hidden_layers=5, tie_word_embeddings=True) | PLAIN_HEADS,
        {RMS: EPSILON, "block_count": 5},
        NO_HEAD_DIM,
    ),
    "exaone4": Case(
        "exaone4",
        "exaone4",
        rms(sliding_window_pattern=4, num_hidden_layers=5) | WINDOW | PLAIN_HEADS,
        {RMS: EPSILON, "block_count": 5, "attention.sliding_window": 8},
        NO_HEAD_DIM,
    ),
    "seed_oss": Case("seed_oss", "seed_oss", rms(attention_bias=True), {RMS: EPSILON}),
    "gpt-oss": Case(
        "gpt-oss",
        "gpt_oss",
        rope(rope_type="yarn", factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=32)
        | {"rms_norm_eps": EPSILON, "num_local_experts": 4, "num_experts_per_tok": 2}
        | WINDOW,
        EXPERTS
        | {
            "expert_feed_forward_length": INNER,
            "attention.sliding_window": 8,
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
            "rope.scaling.yarn_beta_fast": 32.0,
            "rope.scaling.yarn_beta_slow": 1.0,
        },
    ),
}


def original(case: Case) -> PreTrainedModel:
    """With random weights that bfloat16 holds exactly, in norms and biases, too."""
    torch.manual_seed(0)
    sizes = {name: value for name, value in SIZES.items() if name not in UNKNOWN_SIZES.get(case.model_type, ())}
    settings = sizes | {"vocab_size": len(vocabulary()), "tie_word_embeddings": False} | case.settings
    config = AutoConfig.for_model(case.model_type, **settings)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.to(torch.bfloat16))
    model.eval()
    return model


def file_of(path: Path, case: Case, model: PreTrainedModel, **changes: Any) -> Path:
    keys = {key: value for key, value in (KEYS | case.keys).items() if key not in case.without or key in case.keys}
    return write_model(path, case.architecture, keys | changes, model, case.tensors)


@torch.inference_mode()
def log_probabilities(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.tensor([[(7 * position) % 200 + 3 for position in range(40)]])
    logits: torch.Tensor = model(ids, use_cache=False).logits
    return logits.log_softmax(-1)


@pytest.mark.parametrize("name", CASES)
def test_the_converted_model_has_the_logits_of_the_original(tmp_path: Path, name: str) -> None:
    model = original(CASES[name])
    expected = log_probabilities(model)
    convert_gguf(file_of(tmp_path / "m.gguf", CASES[name], model), tmp_path / "folder")
    converted = AutoModelForCausalLM.from_pretrained(tmp_path / "folder", dtype=torch.float32).eval()
    assert expected.std() > 0.1  # not all the same
    assert torch.allclose(log_probabilities(converted), expected, atol=1e-3)


def test_every_architecture_has_a_case() -> None:
    assert {case.model_type for case in CASES.values()} == {architecture.model_type for architecture in ARCHITECTURES.values()}


def test_the_guide_lists_every_architecture() -> None:
    guide = (Path(__file__).parents[4] / "docs/how-to/own-model.md").read_text(encoding="utf-8")
    row = next(line for line in guide.splitlines() if "`general.architecture`" in line)
    assert set(re.findall(r"`([a-z0-9_-]+)`", row)) == {case.architecture for case in CASES.values()}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("gemma3", {"attention.scale": 0.5}, r"the key gemma3\.attention\.scale is not supported"),
        ("llama", {"attention.clamp_kqv": 8.0}, r"the key llama\.attention\.clamp_kqv is not supported"),
        ("llama", {"attention.value_length": 8}, r"llama\.attention\.value_length is not key_length"),
        ("llama", {"attention.head_count": [4, 2]}, r"the layers differ in llama\.attention\.head_count"),
        ("llama", {"rope.dimension_count": 8}, r"llama\.rope\.dimension_count is 8, but heads have 16"),
        ("llama", {"attention.causal": False}, r"llama\.attention\.causal is false"),
        ("llama", {"embedding_length": 64}, r"output\.weight has the shape \(260, 32\), but \(260, 64\) follows"),
        ("bloom", {"feed_forward_length": 64}, r"bloom\.feed_forward_length is 64, but only 128 is supported"),
        ("qwen3", {"expert_count": 4}, r"experts in the architecture 'qwen3'"),
    ],
)
def test_what_a_file_says_and_no_model_has_is_refused(tmp_path: Path, name: str, changes: Keys, reason: str) -> None:
    file = file_of(tmp_path / "m.gguf", CASES[name], original(CASES[name]), **changes)
    with pytest.raises(UnsupportedModel, match=reason):
        convert_gguf(file, tmp_path / "folder")


@pytest.mark.parametrize("architecture", ["mamba", "t5", "deci", "lfm2", "qwen35", "gemma4", "minimax-m2", "deepseek2", "rwkv7"])
def test_other_architectures_are_refused_by_name(tmp_path: Path, architecture: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"of the architecture '{architecture}' are not supported"):
        convert_gguf(write_gguf(tmp_path / "m.gguf", architecture), tmp_path / "folder")
