"""Reads tensors by name from safetensors files."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llm_api.engine.models.headers import Shape, missing_tensor, unreadable, weight_files


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

    def shape(self, name: str) -> Shape:
        """Reads the header only. Raises EngineError if the checkpoint lacks the tensor."""
        return tuple(self._file(name).get_slice(name).get_shape())

    def get(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        return self._file(name).get_tensor(name).to(self.device, dtype or self._dtype)

    def get_part(self, name: str, index: int, dtype: torch.dtype | None = None) -> Tensor:
        """The `index`-th element of the tensor's first dimension. The others are not read."""
        return self._file(name).get_slice(name)[index].to(self.device, dtype or self._dtype)

    def _file(self, name: str) -> safe_open:
        if name not in self._files:
            raise missing_tensor(name)
        return self._files[name]


@contextmanager
def open_checkpoint(model_path: Path, dtype: torch.dtype, device: torch.device) -> Iterator[Checkpoint]:
    """Raises EngineError for a file that is missing, truncated or not safetensors."""
    with ExitStack() as stack:
        files: dict[str, safe_open] = {}
        for path in weight_files(model_path):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (OSError, SafetensorError) as error:
                raise unreadable(path, error) from error
            files.update(dict.fromkeys(file.keys(), file))
        yield Checkpoint(files, dtype, device)
