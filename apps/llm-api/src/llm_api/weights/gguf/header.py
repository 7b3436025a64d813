"""The keys and tensors of a GGUF, without the tensors' content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_api.weights.errors import UnsupportedModel

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor

_REQUIRED = object()


@dataclass(slots=True)
class Header:
    """`keys`: the function that reads each value. Remembers which keys were read: harmless.py refuses the others."""

    architecture: str
    keys: Mapping[str, Callable[[], Any]]
    tensors: "Mapping[str, ReaderTensor]"
    read: set[str] = field(default_factory=set)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return self.keys[key]() if key in self.keys else default

    def own(self, name: str, default: Any = _REQUIRED) -> Any:
        """A key of the architecture, without its prefix. Raises UnsupportedModel if the file lacks it and there is no default."""
        key = f"{self.architecture}.{name}"
        value = self.get(key, default)
        if value is _REQUIRED:
            raise UnsupportedModel(f"the file has no key {key}: convert the model again, or use its safetensors files.")
        return value

    def uniform(self, name: str, default: Any = _REQUIRED) -> Any:
        """Some keys may have a value for each layer. Models whose layers differ are refused."""
        value = self.own(name, default)
        if isinstance(value, list):
            if len(set(value)) != 1:
                raise UnsupportedModel(f"the layers differ in {self.architecture}.{name}: such models are not supported.")
            return value[0]
        return value

    def has(self, ending: str) -> bool:
        """Whether the first layer has the tensor."""
        return f"blk.0.{ending}" in self.tensors


def read_header(file: Path) -> Header:
    """Raises UnsupportedModel when the file is not GGUF."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except OSError as error:
        raise UnsupportedModel(f"cannot read {file}: {error.strerror or error}.") from error
    except Exception as error:
        first_line = (str(error).strip() or "no reason given").splitlines()[0]
        raise UnsupportedModel(f"cannot read {file.name} as GGUF: {type(error).__name__}: {first_line}") from error
    return header_of(reader)


def header_of(reader: "GGUFReader") -> Header:
    keys = {key: field.contents for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    if reader.byte_order != "I":
        raise UnsupportedModel("the file has the other byte order: convert it with gguf_convert_endian.py of llama.cpp.")
    header = Header("", keys, {tensor.name: tensor for tensor in reader.tensors})
    header.architecture = header.get("general.architecture", "")
    return header
