"""Reads tensors by name from safetensors files."""

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

UNQUANTIZED = {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, slots=True)
class CheckpointSize:
    weights: int  # number of unquantized weights
    packed: int  # bytes of all other tensors; quantized checkpoints pack several weights into an element


class Checkpoint:
    """The tensors of one or more safetensors files, loaded to one device in one dtype."""

    def __init__(self, files: dict[str, safe_open], dtype: torch.dtype, device: torch.device) -> None:
        self._files = files
        self._dtype = dtype
        self.device = device

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Reads the header only. Raises EngineError if the checkpoint lacks the tensor."""
        return tuple(self._file(name).get_slice(name).get_shape())

    def size(self) -> CheckpointSize:
        weights = packed = 0
        for name, file in self._files.items():
            tensor = file.get_slice(name)
            elements, kind = math.prod(tensor.get_shape()), tensor.get_dtype()
            if kind in UNQUANTIZED:
                weights += elements
            else:
                packed += elements * _bits(kind) // 8
        return CheckpointSize(weights, packed)

    def get(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        return self._file(name).get_tensor(name).to(self.device, dtype or self._dtype)

    def get_part(self, name: str, index: int, dtype: torch.dtype | None = None) -> Tensor:
        """The `index`-th element of the tensor's first dimension. The others are not read."""
        return self._file(name).get_slice(name)[index].to(self.device, dtype or self._dtype)

    def _file(self, name: str) -> safe_open:
        if name not in self._files:
            raise EngineError(f"the checkpoint lacks the tensor {name}: it is incomplete or does not match config.json")
        return self._files[name]


@contextmanager
def open_checkpoint(model_path: Path, dtype: torch.dtype, device: torch.device) -> Iterator[Checkpoint]:
    """Raises EngineError for a file that is missing, truncated or not safetensors."""
    with ExitStack() as stack:
        files: dict[str, safe_open] = {}
        for path in _files(model_path):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (OSError, SafetensorError) as error:
                raise EngineError(f"{path} is not a complete safetensors file: {error}") from error
            files.update(dict.fromkeys(file.keys(), file))
        yield Checkpoint(files, dtype, device)


def checkpoint_size(model_path: Path) -> CheckpointSize:
    """Reads the headers, not the tensors. Raises EngineError as `open_checkpoint` does."""
    with open_checkpoint(model_path, torch.bfloat16, torch.device("cpu")) as checkpoint:
        return checkpoint.size()


def _bits(kind: str) -> int:
    """Bits of a safetensors dtype such as "I32" or "F8_E4M3"."""
    digits = "".join(filter(str.isdigit, kind.partition("_")[0]))
    return int(digits) if digits else 8


def _files(model_path: Path) -> list[Path]:
    """The files that the index names; without an index the one file of weights. Other files beside them are never read."""
    index = model_path / "model.safetensors.index.json"
    if index.exists():
        return [model_path / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    whole = model_path / "model.safetensors"
    files = [whole] if whole.exists() else sorted(model_path.glob("*.safetensors"))
    if not files:
        raise EngineError(f"{model_path} has no safetensors files")
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:3])
        raise EngineError(f"{model_path} has {len(files)} safetensors files ({names}, ...) but no {index.name}: add the index")
    return files
