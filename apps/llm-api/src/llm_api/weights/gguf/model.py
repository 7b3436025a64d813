"""A GGUF as a model of transformers. All that the header says is checked before a tensor is read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.architectures import Architecture, architecture_of
from llm_api.weights.gguf.harmless import check_all_read, check_whole
from llm_api.weights.gguf.header import Header, read_header
from llm_api.weights.gguf.tensors import Placement, check_types
from llm_api.weights.gguf.tokenizer import GgufTokenizer, read_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class GgufModel:
    """`settings`: of the config. `elements`: numbers in all tensors."""

    header: Header
    architecture: Architecture
    settings: dict[str, Any]
    tokenizer: GgufTokenizer
    elements: int


def read_gguf(file: Path) -> GgufModel:
    """Raises UnsupportedModel for what cannot be converted exactly. Reads no tensor."""
    header = read_header(file)
    check_whole(header)
    architecture = architecture_of(header)
    check_types(header)
    settings: dict[str, Any] = {}
    for part in architecture.parts:
        settings |= part(header)
    tokenizer = read_tokenizer(header, settings["vocab_size"])
    check_all_read(header)
    elements = sum(int(tensor.n_elements) for tensor in header.tensors.values())
    return GgufModel(header, architecture, settings, tokenizer, elements)


def empty_model(gguf: GgufModel) -> "PreTrainedModel":
    """A model without values, which take no memory before they are filled in."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(gguf.architecture.model_type, **gguf.settings)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if gguf.tokenizer.turn_ends and model.generation_config is not None:
        model.generation_config.eos_token_id = gguf.tokenizer.turn_ends
    return model


def fill(model: "PreTrainedModel", placed: Iterable[Placement]) -> None:
    """Gives every parameter its values in bfloat16. Raises UnsupportedModel for a tensor of another shape."""
    import numpy as np
    import torch

    shapes = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    values = {}
    for placement in placed:
        array = placement.read()
        if array.shape != shapes[placement.parameter]:
            names = " and ".join(placement.sources)
            raise UnsupportedModel(f"{names} has the shape {array.shape}, but {shapes[placement.parameter]} follows from the file's keys.")
        values[placement.parameter] = torch.from_numpy(np.array(array, np.float32, order="C")).to(torch.bfloat16)
    model.load_state_dict(values, strict=False, assign=True)
    model.tie_weights()
