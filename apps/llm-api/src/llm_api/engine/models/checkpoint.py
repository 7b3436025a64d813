"""Tensors from safetensors files, by name."""

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llm_api.engine.errors import EngineError

WHOLE = {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, slots=True)
class Contents:
    """`packed`: bytes of tensors of anything else, which quantised checkpoints keep several weights in."""

    weights: int
    packed: int


class Checkpoint:
    """Tensors by name from one or many safetensors files, on one device and in one dtype."""

    def __init__(self, files: dict[str, safe_open], dtype: torch.dtype, device: torch.device) -> None:
        self._files = files
        self._dtype = dtype
        self._device = device

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def contents(self) -> Contents:
        weights = packed = 0
        for name, file in self._files.items():
            tensor = file.get_slice(name)
            size, kind = math.prod(tensor.get_shape()), tensor.get_dtype()
            if kind in WHOLE:
                weights += size
            else:
                packed += size * _bits(kind) // 8
        return Contents(weights, packed)

    def get(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        if name not in self._files:
            raise EngineError(f"the checkpoint lacks the tensor {name}: incomplete, or not of the kind config.json says")
        return self._files[name].get_tensor(name).to(self._device, dtype or self._dtype)

    def maybe(self, name: str, dtype: torch.dtype | None = None) -> Tensor | None:
        return self.get(name, dtype) if name in self else None


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


def contents_of(model_path: Path) -> Contents:
    """Without reading any. Raises EngineError as `open_checkpoint` does."""
    with open_checkpoint(model_path, torch.bfloat16, torch.device("cpu")) as checkpoint:
        return checkpoint.contents()


def _bits(kind: str) -> int:
    """Of "I32" or "F8_E4M3"."""
    digits = "".join(filter(str.isdigit, kind.partition("_")[0]))
    return int(digits) if digits else 8


def _files(model_path: Path) -> list[Path]:
    index = model_path / "model.safetensors.index.json"
    if index.exists():
        return [model_path / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    files = sorted(model_path.glob("*.safetensors"))
    if not files:
        raise EngineError(f"{model_path} has no safetensors files")
    return files
