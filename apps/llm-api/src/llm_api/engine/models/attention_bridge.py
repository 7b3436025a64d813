"""Connects the attention layers of a transformers model to the engine's attention and KV cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from llm_api.engine.attention.backend import AttentionOptions, StepAttention
from llm_api.engine.errors import EngineError

UNSUPPORTED = ("softcap", "s_aux", "position_bias")


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
        **options: Any,
    ) -> tuple[Tensor, None]:
        """Has the signature that transformers expects: query [1, heads, rows, head dim], key and value [1, kv heads, rows, head dim]."""
        if self._step is None:
            raise RuntimeError("attention outside of a step")
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        unsupported = [name for name in UNSUPPORTED if options.get(name) is not None]
        if isinstance(attention_mask, WindowMask):
            # Some families pass the window to this call, too, others have it in the mask only.
            if sliding_window not in {None, attention_mask.window}:
                unsupported.append("a window that differs from its mask's")
            sliding_window = attention_mask.window
        elif attention_mask is not None:  # the engine passes no mask, so the model made one
            unsupported.append("an attention mask")
        if key.shape != value.shape:
            unsupported.append("keys and values that differ")
        if layer in self.layers_seen:
            unsupported.append("more than one attention in a layer")
        if unsupported:
            raise EngineError(f"attention of {type(module).__name__} needs {', '.join(unsupported)}: not supported")
        self.layers_seen.add(layer)
        key_values = torch.stack((key.squeeze(0), value.squeeze(0))).permute(2, 0, 1, 3).contiguous()
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        rows = query.squeeze(0).transpose(0, 1).contiguous()
        attended = self._step.attend(layer, rows, key_values, AttentionOptions(scale, sliding_window))
        return attended.unsqueeze(0), None


def _mask(local_size: int | None = None, use_vmap: bool = False, config: Any = None, **options: Any) -> Tensor | None:
    """Called by transformers to build a mask. The step's attention derives causal masks from the batch, so they need none.

    Masks with functions of the model's own (`use_vmap`) and masks in both directions become tensors, which `_attend` refuses.
    """
    if use_vmap or "allow_is_bidirectional_skip" in options:
        return torch.empty(1, 1, 0, 0)
    chunked = getattr(config, "attention_chunk_size", None) is not None  # load_general limits the context to one chunk
    if local_size is None or chunked:
        return None
    mask = torch.empty(1, 1, 0, 0).as_subclass(WindowMask)
    mask.window = local_size
    return mask
