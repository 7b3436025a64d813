"""The expected results: the same checkpoint computed by transformers alone."""

from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging


class Reference:
    def __init__(self, model_path: Path, dtype: torch.dtype = torch.float32) -> None:
        logging.disable_progress_bar()
        self._model = AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype, local_files_only=True).eval()
        self._model.generation_config.eos_token_id = None  # so that no token ends a sequence before max_tokens
        self._greedy: dict[tuple[str, int], list[list[int]]] = {}

    def greedy(self, prompts: list[list[int]], max_tokens: int) -> list[list[int]]:
        """`model.generate` for each prompt. Results are kept: many tests expect the same ones."""
        key = (str(prompts), max_tokens)
        if key not in self._greedy:
            self._greedy[key] = self._generate_all(prompts, max_tokens)
        return self._greedy[key]

    @torch.inference_mode()
    def _generate_all(self, prompts: list[list[int]], max_tokens: int) -> list[list[int]]:
        """Prompts of equal length share a batch, which needs no padding and is exact."""
        by_length = defaultdict(list)
        for number, prompt in enumerate(prompts):
            by_length[len(prompt)].append(number)
        completions: list[list[int]] = [[] for _ in prompts]
        for length, numbers in by_length.items():
            ids = torch.tensor([prompts[number] for number in numbers])
            for number, row in zip(numbers, self._generate(ids, max_tokens)[:, length:].tolist(), strict=True):
                completions[number] = row
        return completions

    def most_likely(self, prompt: list[int], completion: list[int]) -> list[int]:
        """The most likely token in place of each token of `completion`, in one forward pass. Equal to it where `greedy` gives it."""
        return self.logits(prompt + completion)[len(prompt) - 1 : -1].argmax(-1).tolist()

    @torch.inference_mode()
    def logits(self, token_ids: list[int]) -> Tensor:
        """Float32 [tokens, vocabulary], computed in one forward pass without a cache."""
        logits: Tensor = self._model(input_ids=torch.tensor([token_ids]), use_cache=False).logits
        return logits[0].float()

    def _generate(self, ids: Tensor, max_tokens: int) -> Tensor:
        config = GenerationConfig(max_new_tokens=max_tokens, do_sample=False, pad_token_id=0)
        generated: Tensor = self._model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
        return generated
