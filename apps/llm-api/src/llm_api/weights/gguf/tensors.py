"""Which tensors of the file make which parameter of the model. None is passed over, and no parameter is left to chance."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.architectures import Architecture
from llm_api.weights.gguf.header import Header
from llm_api.weights.gguf.layouts import Array, Join
from llm_api.weights.gguf.rope import FACTORS

if TYPE_CHECKING:
    from gguf import ReaderTensor, TensorNameMap
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Placement:
    """One parameter of the model. `read` returns its values in float32, in transformers' layout."""

    parameter: str
    sources: tuple[str, ...]
    read: Callable[[], Array]


def check_types(header: Header) -> None:
    """Raises UnsupportedModel for a type of quantization that the gguf package cannot read. Reads no tensor."""
    from gguf import GGML_QUANT_SIZES
    from gguf.quants import dequantize

    types = {tensor.tensor_type: name for name, tensor in header.tensors.items()}
    for kind, name in types.items():
        try:
            dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
        except NotImplementedError as error:
            raise UnsupportedModel(f"the type {kind.name} of the tensor {name} is not supported: use another quantization.") from error


def placements(header: Header, architecture: Architecture, model: "PreTrainedModel") -> list[Placement]:
    """Raises UnsupportedModel for a tensor without a place, and for a parameter without a tensor."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    found = next(found for found, name in MODEL_ARCH_NAMES.items() if name == header.architecture)
    names = get_tensor_name_map(found, model.config.num_hidden_layers)
    placed = [_placement(header, architecture, model, names, parameter) for parameter in sorted(parameters(model))]
    read = {source for placement in placed for source in placement.sources}
    if unread := sorted(header.tensors.keys() - read - FACTORS):
        raise UnsupportedModel(f"the tensor {unread[0]} would not be used: this variant of the architecture is not supported.")
    return placed


def parameters(model: "PreTrainedModel") -> Mapping[str, Any]:
    """Those that are saved: a tied output matrix is the embedding."""
    tied = model._tied_weights_keys if model.config.tie_word_embeddings else {}
    return {name: value for name, value in model.state_dict().items() if name not in (tied or {})}


def _placement(header: Header, architecture: Architecture, model: "PreTrainedModel", names: "TensorNameMap", parameter: str) -> Placement:
    for pattern, join in architecture.joins.items():
        if matched := re.fullmatch(pattern, parameter):
            return _joined(header, parameter, join, matched.groups())
    base, dot, kind = parameter.rpartition(".")
    within = base.partition(".")[2]  # converters of some architectures wrote the names without the part before the first dot
    source = f"{names.get_name(base) or names.get_name(within)}{dot}{kind}"
    _require(header, parameter, (source,))
    layout = next((layout for pattern, layout in architecture.layouts.items() if re.search(pattern, source)), None)
    values = header.tensors[source]
    return Placement(parameter, (source,), lambda: layout(_values(values), model.config) if layout else _values(values))


def _joined(header: Header, parameter: str, join: Join, groups: tuple[str, ...]) -> Placement:
    sources = tuple(source.format(*groups) for source in join.sources)
    _require(header, parameter, sources)
    return Placement(parameter, sources, lambda: join.build([_values(header.tensors[source]) for source in sources], groups))


def _require(header: Header, parameter: str, sources: tuple[str, ...]) -> None:
    if any(source not in header.tensors for source in sources):
        raise UnsupportedModel(f"the file has no tensor for {parameter}: the model would compute with random weights.")


def _values(tensor: "ReaderTensor") -> Array:
    from gguf.quants import dequantize

    return dequantize(tensor.data, tensor.tensor_type)
