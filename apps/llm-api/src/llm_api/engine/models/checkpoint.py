"""Reads the weights of Llama-like checkpoints and fuses them for the fast path."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.errors import EngineError
from llm_api.engine.models.decoder import DecoderLayer, DecoderWeights
from llm_api.engine.models.linear import Linear, OutputHead
from llm_api.engine.models.model_config import ModelConfig


class Checkpoint:
    """Tensors by name from one or many safetensors files, on one device and in one dtype."""

    def __init__(self, files: dict[str, safe_open], dtype: torch.dtype, device: torch.device) -> None:
        self._files = files
        self._dtype = dtype
        self._device = device

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def get(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        if name not in self._files:
            raise EngineError(f"the checkpoint lacks the tensor {name}: incomplete, or not of the kind config.json says")
        return self._files[name].get_tensor(name).to(self._device, dtype or self._dtype)

    def maybe(self, name: str, dtype: torch.dtype | None = None) -> Tensor | None:
        return self.get(name, dtype) if name in self else None

    def linear(self, *names: str) -> Linear:
        """One product for several projections of the same input."""
        biases = [self.maybe(f"{name}.bias") for name in names]
        weight = torch.cat([self.get(f"{name}.weight") for name in names])
        return Linear(weight, torch.cat([b for b in biases if b is not None]) if any(b is not None for b in biases) else None)


@contextmanager
def open_checkpoint(model_path: Path, dtype: torch.dtype, device: torch.device) -> Iterator[Checkpoint]:
    """Raises EngineError for a missing, truncated or foreign file."""
    with ExitStack() as stack:
        files: dict[str, safe_open] = {}
        for path in _files(model_path):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (OSError, SafetensorError) as error:
                raise EngineError(f"{path} is not a complete safetensors file: {error}") from error
            files.update(dict.fromkeys(file.keys(), file))
        yield Checkpoint(files, dtype, device)


def _files(model_path: Path) -> list[Path]:
    index = model_path / "model.safetensors.index.json"
    if index.exists():
        return [model_path / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    files = sorted(model_path.glob("*.safetensors"))
    if not files:
        raise EngineError(f"{model_path} has no safetensors files")
    return files


def read_decoder(checkpoint: Checkpoint, config: ModelConfig) -> DecoderWeights:
    embedding = checkpoint.get("model.embed_tokens.weight")
    if embedding.shape != (config.vocab_size, config.hidden_size):
        raise EngineError(f"model.embed_tokens.weight is {tuple(embedding.shape)}: not what config.json says of vocabulary and hidden size")
    shares = config.raw.get("tie_word_embeddings", False) and "lm_head.weight" not in checkpoint
    return DecoderWeights(
        embedding=embedding,
        layers=[_read_layer(checkpoint, config, layer) for layer in range(config.num_layers)],
        norm=checkpoint.get("model.norm.weight", torch.float32),
        head=OutputHead(embedding if shares else checkpoint.get("lm_head.weight")),
    )


def _read_layer(checkpoint: Checkpoint, config: ModelConfig, layer: int) -> DecoderLayer:
    at = f"model.layers.{layer}"
    return DecoderLayer(
        input_norm=checkpoint.get(f"{at}.input_layernorm.weight", torch.float32),
        qkv=checkpoint.linear(*(f"{at}.self_attn.{name}_proj" for name in "qkv")),
        query_norm=checkpoint.maybe(f"{at}.self_attn.q_norm.weight", torch.float32),
        key_norm=checkpoint.maybe(f"{at}.self_attn.k_norm.weight", torch.float32),
        output=checkpoint.linear(f"{at}.self_attn.o_proj"),
        post_attention_norm=checkpoint.get(f"{at}.post_attention_layernorm.weight", torch.float32),
        gate_up=checkpoint.linear(f"{at}.mlp.gate_proj", f"{at}.mlp.up_proj"),
        down=checkpoint.linear(f"{at}.mlp.down_proj"),
        attention=AttentionOptions(config.head_dim**-0.5, config.sliding_window(layer)),
    )
