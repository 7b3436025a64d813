"""Connects the attention layers of a transformers model to the engine's attention and KV cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface

from llm_api.engine.attention.backend import AttentionOptions, StepAttention


class Unsupported(Exception):
    """The engine's attention lacks something that the model needs. The message names it."""


class WindowMask(Tensor):
    """Stands for the mask of a sliding window, which is not computed: the step's attention takes `window` from it."""

    window: int

    def __getitem__(self, _index: Any) -> "WindowMask":
        """Some models cut the mask to the length of the keys."""
        return self


class AttentionBridge:
    """An attention implementation, registered with transformers under a unique name. A model is loaded with that name.

    The bridge holds the step's attention. Passing it as a keyword argument of the model would not work for every family.
    """

    def __init__(self) -> None:
        self.name = f"llm_api_{id(self):x}"
        self.head_dim = 0  # of the KV cache: narrower heads are padded with zeros
        self.layers_seen: set[int] = set()
        self._step: StepAttention | None = None
        AttentionInterface.register(self.name, self._attend)
        AttentionMaskInterface.register(self.name, _mask)

    @contextmanager
    def use(self, attention: StepAttention) -> Iterator[None]:
        """Computes the attention of the forward pass inside the block with `attention`."""
        self.layers_seen.clear()
        self._step = attention
        try:
            yield
        finally:
            self._step = None

    def _attend(
        self,
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        position_bias: Tensor | None = None,
        **_options: Any,
    ) -> tuple[Tensor, None]:
        """Has the signature that transformers expects: query [1, heads, rows, head dim], key and value [1, kv heads, rows, head dim]."""
        if self._step is None:
            raise RuntimeError("attention outside of a step")
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        if isinstance(attention_mask, WindowMask):
            # Some families pass the window to this call, too, others have it in the mask only.
            if sliding_window not in {None, attention_mask.window}:
                raise Unsupported("a window that differs from its mask's")
            sliding_window = attention_mask.window
        elif attention_mask is not None:  # the engine passes no mask, so the model made one
            raise Unsupported("an attention mask of the model's own")
        if position_bias is not None:
            raise Unsupported("a position bias")
        if layer in self.layers_seen:
            raise Unsupported("more than one attention in a layer")
        self.layers_seen.add(layer)
        width = max(self.head_dim, query.shape[-1], value.shape[-1])
        key_values = torch.stack((_rows(key, width), _rows(value, width)), 1)
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        attention = AttentionOptions(scale, sliding_window, softcap, s_aux)
        attended = self._step.attend(layer, _rows(query, width), key_values, attention)
        return attended[..., : value.shape[-1]].unsqueeze(0), None


def _rows(states: Tensor, width: int) -> Tensor:
    """[1, heads, rows, head dim] to [rows, heads, width], contiguous. Zeros change neither the scores nor the other values."""
    return pad(states.squeeze(0).transpose(0, 1), (0, width - states.shape[-1])).contiguous()


def _mask(local_size: int | None = None, use_vmap: bool = False, config: Any = None, **options: Any) -> Tensor | None:
    """Called by transformers to build a mask. The step's attention derives causal masks from the batch, so they need none.

    Masks with functions of the model's own (`use_vmap`) and masks in both directions become tensors, which `_attend` rejects.
    """
    if use_vmap or "allow_is_bidirectional_skip" in options:
        return torch.empty(1, 1, 0, 0)
    chunked = getattr(config, "attention_chunk_size", None) is not None  # then the context is limited to one chunk
    if local_size is None or chunked:
        return None
    mask = torch.empty(1, 1, 0, 0).as_subclass(WindowMask)
    mask.window = local_size
    return mask
