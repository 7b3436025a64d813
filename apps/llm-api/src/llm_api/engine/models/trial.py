"""A model of transformers is tried before it is served: in parts and in a batch it must compute what it computes at once and alone.

This finds what neither its attention layers nor its cache show: attention in both directions, positions that are counted elsewhere, a
layer that mixes tokens and keeps no state.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from llm_api.engine.batch import build_batch
from llm_api.engine.errors import EngineError, shortened
from llm_api.engine.kv_cache.storage import KVCache
from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.models.attention_bridge import Unsupported
from llm_api.engine.models.batched import BatchedModel
from llm_api.engine.models.one_by_one import OneByOneModel
from llm_api.engine.sequence import Chunk, Sequence

STEPS = (((0, 5), (5, 10), (10, 11), (11, 12)), ((0, 6), (6, 7), (7, 8), (8, 9)))  # of two sequences: tokens that a step computes
BLOCK_SIZE = 4
BLOCKS = ([6, 2, 4], [1, 5, 0])
# Largest relative difference, by the median of a part's tokens. In half precision another expert may be chosen for a token.
LARGEST_DIFFERENCE = {torch.float32: 0.02}
LARGEST_DIFFERENCE_ROUNDED = 0.5


class Trial:
    """Computes the expected logits on construction, so the model must have its own attention then. Raises EngineError if it fails."""

    def __init__(self, model: PreTrainedModel, vocab_size: int, dtype: torch.dtype, device: torch.device) -> None:
        self._prompts = [[(7 * i + 5 * k) % min(97, vocab_size) for i in range(steps[-1][1])] for k, steps in enumerate(STEPS)]
        self._limit = LARGEST_DIFFERENCE.get(dtype, LARGEST_DIFFERENCE_ROUNDED)
        self._device = device
        try:
            self._expected = [_at_once(model, prompt, device) for prompt in self._prompts]
        except Exception as error:  # models fail in many ways
            name = type(model).__name__
            raise EngineError(f"{name} does not run on a text alone: {type(error).__name__}: {shortened(error)}") from error

    def difference(self, model: BatchedModel | OneByOneModel) -> str | None:
        """What differs or fails, or None. Binds the model to a small KV cache. Raises Unsupported as the model does."""
        try:
            return self._difference(model)
        except Unsupported:
            raise
        except Exception as error:  # models fail in many ways
            return f"it fails with {type(error).__name__}: {shortened(error)}"

    @torch.inference_mode()
    def _difference(self, model: BatchedModel | OneByOneModel) -> str | None:
        model.bind(KVCache(model.cache_shape, max(map(max, BLOCKS)) + 1, BLOCK_SIZE, self._device), len(STEPS))
        sequences = [_sequence(prompt) for prompt in self._prompts]
        for parts in zip(*STEPS, strict=True):
            for sequence, blocks, (_, end) in zip(sequences, BLOCKS, parts, strict=True):
                sequence.block_ids = blocks[: -(-end // BLOCK_SIZE)]
            chunks = [Chunk(sequence, start, end - start) for sequence, (start, end) in zip(sequences, parts, strict=True)]
            batch, spans = build_batch(chunks, BLOCK_SIZE, self._device)
            logits = model.logits(batch)
            for span in spans:
                chunk = span.chunk
                expected = self._expected[sequences.index(chunk.sequence)][chunk.start : chunk.end]
                difference = _relative_difference(logits[span.start : span.end], expected)
                if difference > self._limit:
                    where = "the first tokens" if chunk.start == 0 else "tokens after the first step"
                    return f"the logits of {where} differ by {difference:.0%} from those of the text computed at once"
        return None


@torch.inference_mode()
def _at_once(model: PreTrainedModel, prompt: list[int], device: torch.device) -> Tensor:
    logits: Tensor = model(input_ids=torch.tensor([prompt], device=device), use_cache=False).logits
    return logits[0].float()


def _sequence(prompt: list[int]) -> Sequence:
    return Sequence(AddRequest(request_id="trial", prompt_token_ids=prompt, sampling=SamplingParams(max_tokens=1, prompt_logprobs=0)), 0)


def _relative_difference(logits: Tensor, expected: Tensor) -> float:
    """By the median token. NaN where a model's weights give no finite number: a request then fails for that reason."""
    spread = (expected - expected.mean(-1, keepdim=True)).norm(dim=-1)
    return float(((logits - expected).norm(dim=-1) / spread).median())
