"""The names, shapes and dtypes of a checkpoint's tensors, from the headers of its safetensors files. Reads no weights, imports no torch."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from llm_api.engine.errors import EngineError

UNQUANTIZED = {"F64", "F32", "F16", "BF16"}

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CheckpointSize:
    weights: int  # number of unquantized weights
    packed: int  # bytes of all other tensors; quantized checkpoints pack several weights into an element


@dataclass(frozen=True, slots=True)
class TensorHeader:
    shape: Shape
    kind: str  # a dtype of safetensors, such as BF16


class Headers:
    def __init__(self, tensors: dict[str, TensorHeader]) -> None:
        self._tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def shape(self, name: str) -> Shape:
        """Raises EngineError if the checkpoint lacks the tensor."""
        if name not in self._tensors:
            raise missing_tensor(name)
        return self._tensors[name].shape

    def size(self) -> CheckpointSize:
        weights = packed = 0
        for tensor in self._tensors.values():
            elements = math.prod(tensor.shape)
            if tensor.kind in UNQUANTIZED:
                weights += elements
            else:
                packed += elements * _bits(tensor.kind) // 8
        return CheckpointSize(weights, packed)


def read_headers(model_path: Path) -> Headers:
    """Raises EngineError for a file that is missing, truncated or not safetensors."""
    tensors: dict[str, TensorHeader] = {}
    for path in weight_files(model_path):
        try:
            with safe_open(path, framework="numpy") as file:
                tensors |= {name: _header(file, name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        except (OSError, SafetensorError) as error:
            raise unreadable(path, error) from error
    return Headers(tensors)


def weight_files(model_path: Path) -> list[Path]:
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


def missing_tensor(name: str) -> EngineError:
    return EngineError(f"the checkpoint lacks the tensor {name}: it is incomplete or does not match config.json")


def unreadable(path: Path, error: Exception) -> EngineError:
    return EngineError(f"{path} is not a complete safetensors file: {error}")


def _header(file: safe_open, name: str) -> TensorHeader:
    tensor = file.get_slice(name)
    return TensorHeader(tuple(tensor.get_shape()), tensor.get_dtype())


def _bits(kind: str) -> int:
    """Bits of a safetensors dtype such as "I32" or "F8_E4M3"."""
    digits = "".join(filter(str.isdigit, kind.partition("_")[0]))
    return int(digits) if digits else 8
