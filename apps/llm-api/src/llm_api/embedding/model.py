"""The model: transformers' encoder, then pooling. Runs in the embedding process."""

from pathlib import Path

import torch
from torch import Tensor

from llm_api.embedding.files import EmbeddingFiles, PoolingMode, UnsupportedEmbedding, read_files


class EmbeddingModel:
    """In float32 on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Raises UnsupportedEmbedding."""
        from transformers import AutoModel

        self.files: EmbeddingFiles = read_files(folder)
        try:
            model = AutoModel.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True, trust_remote_code=False)
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UnsupportedEmbedding(f"{folder} cannot be loaded as an embedding model: {reason}") from error
        self._model = model.eval()
        self._padding = int(model.config.pad_token_id or 0)
        self.vocab_size = int(model.config.vocab_size)
        self.dimensions = int(self.embed([[self._padding]]).shape[1])

    @torch.inference_mode()
    def embed(self, inputs: list[list[int]]) -> Tensor:
        """Token ids, each of at least one token, become float32 [inputs, dimensions]."""
        longest = max(map(len, inputs))
        ids = torch.tensor([ids + [self._padding] * (longest - len(ids)) for ids in inputs])
        mask = torch.arange(longest)[None, :] < torch.tensor([len(ids) for ids in inputs])[:, None]
        states = self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        pooled = _pooled(states, mask, self.files.pooling)
        return torch.nn.functional.normalize(pooled, dim=1) if self.files.normalizes else pooled


def _pooled(states: Tensor, mask: Tensor, mode: PoolingMode) -> Tensor:
    """`states` [inputs, tokens, dimensions], `mask` [inputs, tokens]: which tokens are no padding."""
    match mode:
        case "cls":
            return states[:, 0]
        case "lasttoken":
            return states[torch.arange(len(states)), mask.sum(1) - 1]
        case "max":
            return states.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
        case "mean":
            return (states * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
