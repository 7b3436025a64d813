"""The decoder that most families vary: pre-norms, rotary embeddings, gated MLP, with the tensor names of Llama."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llm_api.engine.models.families.parts import (
    Activation,
    ActivationKind,
    Attention,
    DecoderParts,
    Experts,
    Layer,
    Mlp,
    Norm,
    NormKind,
    Norms,
    Rope,
)
from llm_api.engine.models.families.sources import Linear
from llm_api.engine.models.families.text_config import TextConfig
from llm_api.engine.models.rope_parameters import ROPE_TYPES, rope_parameters

ACTIVATIONS = {
    "silu": ActivationKind.SILU,
    "gelu": ActivationKind.GELU,
    "gelu_pytorch_tanh": ActivationKind.GELU_TANH,
}


class NotSupportedError(Exception):
    """The decoders lack a part that this model has. The message names the part."""


@dataclass(frozen=True, slots=True)
class NormNames:
    """Names of a layer's norms. None: there is no such norm."""

    attention_before: str | None = "input_layernorm"
    attention_after: str | None = None
    feed_forward_before: str | None = "post_attention_layernorm"
    feed_forward_after: str | None = None


FeedForward = Callable[[TextConfig, str, int], Mlp | Experts]  # config, the layer's prefix, the layer's number
PRE_NORMS = NormNames()


def llama_like(
    config: TextConfig,
    *,
    feed_forward: FeedForward,
    norm_names: NormNames = PRE_NORMS,
    norm_kind: NormKind = NormKind.RMS,
    eps: float | None = None,
    qkv_bias: bool = False,
    output_bias: bool = False,
    has_fused_qkv: bool = False,
    query_key_norm: Callable[[int], int] | None = None,
    ropes: tuple[Rope, ...] | None = None,
    rope: Callable[[int], int | None] = lambda _layer: 0,
    window: Callable[[int], int | None] = lambda _layer: None,
    scale: float | None = None,
    softcap: float | None = None,
    has_sinks: bool = False,
    activation: Activation | None = None,
    **multipliers: Any,
) -> DecoderParts:
    """`rope` and `window` map a layer's number. `query_key_norm` maps a number of heads to the size of their norm.

    `multipliers` are those of DecoderParts. Raises NotSupportedError for an activation or a RoPE type that the decoders lack.
    """
    hidden, dim = config.hidden_size, config.head_dim

    def norm(name: str | None) -> Norm | None:
        return None if name is None else Norm(name, hidden, norm_kind)

    def attention(at: str, layer: int) -> Attention:
        sizes = {"q": config.num_heads, "k": config.num_kv_heads, "v": config.num_kv_heads}
        separate = tuple(Linear(f"{at}.{name}_proj", heads * dim, hidden, qkv_bias) for name, heads in sizes.items())
        fused = (Linear(f"{at}.qkv_proj", sum(sizes.values()) * dim, hidden, qkv_bias),)

        def head_norm(name: str) -> Norm | None:
            return Norm(f"{at}.{name}_norm", query_key_norm(sizes[name]), norm_kind) if query_key_norm else None

        return Attention(
            qkv=fused if has_fused_qkv else separate,
            output=Linear(f"{at}.o_proj", hidden, config.num_heads * dim, output_bias),
            scale=dim**-0.5 if scale is None else scale,
            query_norm=head_norm("q"),
            key_norm=head_norm("k"),
            rope=rope(layer),
            window=window(layer),
            softcap=softcap,
            sinks=f"{at}.sinks" if has_sinks else None,
        )

    def decoder_layer(number: int) -> Layer:
        at = f"layers.{number}."
        names = [None if name is None else at + name for name in _in_order(norm_names)]
        return Layer(
            attention_norms=Norms(norm(names[0]), norm(names[1])),
            attention=attention(f"{at}self_attn", number),
            feed_forward_norms=Norms(norm(names[2]), norm(names[3])),
            feed_forward=feed_forward(config, at, number),
        )

    return DecoderParts(
        embedding="embed_tokens.weight",
        norm=Norm("norm", hidden, norm_kind),
        head="lm_head.weight",
        is_tied=bool(config.raw.get("tie_word_embeddings")),
        layers=tuple(map(decoder_layer, range(config.num_layers))),
        ropes=ropes or (plain_rope(config),),
        eps=config.raw["rms_norm_eps"] if eps is None else eps,
        activation=activation or activation_of(config.raw["hidden_act"]),
        **multipliers,
    )


def _in_order(names: NormNames) -> tuple[str | None, ...]:
    return names.attention_before, names.attention_after, names.feed_forward_before, names.feed_forward_after


def gated_mlp(config: TextConfig, at: str, *, has_bias: bool = False, size: int | None = None, name: str = "mlp") -> Mlp:
    hidden, inner = config.hidden_size, size or config.raw["intermediate_size"]
    gate, up = (Linear(f"{at}{name}.{part}_proj", inner, hidden, has_bias) for part in ("gate", "up"))
    return Mlp((gate, up), Linear(f"{at}{name}.down_proj", hidden, inner, has_bias))


def fused_gated_mlp(config: TextConfig, at: str, _layer: int) -> Mlp:
    hidden, inner = config.hidden_size, config.raw["intermediate_size"]
    return Mlp((Linear(f"{at}mlp.gate_up_proj", 2 * inner, hidden),), Linear(f"{at}mlp.down_proj", hidden, inner))


def activation_of(name: str, *, is_gated: bool = True) -> Activation:
    if name not in ACTIVATIONS:
        raise NotSupportedError(f"the activation function {name}")
    return Activation(ACTIVATIONS[name], is_gated)


def plain_rope(config: TextConfig, *, is_interleaved: bool = False) -> Rope:
    """The RoPE of a family whose layers all have the same."""
    written = rope_parameters(config.raw)
    longest = config.raw["max_position_embeddings"]
    written.setdefault("original_max_position_embeddings", longest)
    if written.get("factor") is None:
        written["factor"] = longest / written["original_max_position_embeddings"]
    return _rope(config, written, is_interleaved)


def rope_of_type(config: TextConfig, layer_type: str) -> Rope:
    """The RoPE of a family whose layers differ by type. transformers reads `truncate` beside the types, where no file has it."""
    written = config.raw["rope_parameters"][layer_type]
    return _rope(config, {name: value for name, value in written.items() if name != "truncate"}, is_interleaved=False)


def _rope(config: TextConfig, parameters: dict[str, Any], is_interleaved: bool) -> Rope:
    if parameters["rope_type"] not in ROPE_TYPES:
        raise NotSupportedError(f"the RoPE type {parameters['rope_type']}")
    return Rope(parameters, int(config.head_dim * parameters.get("partial_rotary_factor", 1.0)), is_interleaved)


def sliding_by_type(config: TextConfig) -> Callable[[int], int | None]:
    """The window of a layer, where `layer_types` says which ones slide."""
    types: list[str] = config.raw["layer_types"]
    return lambda layer: config.raw["sliding_window"] if types[layer] == "sliding_attention" else None
