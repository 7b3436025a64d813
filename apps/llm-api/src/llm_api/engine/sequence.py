"""A sequence: one choice of a request, from its prompt to its finish."""

from __future__ import annotations

import secrets
from enum import Enum, auto
from hashlib import blake2b

from llm_api.engine.messages import AddRequest, TokenLogprobs
from llm_api.engine.sampler.constraint import TokenConstraint


class SequenceStatus(Enum):
    WAITING = auto()
    RUNNING = auto()
    FINISHED = auto()


class Sequence:
    """Prompt and completion tokens, and how many of them the KV cache holds.

    A sequence is due `remaining` tokens of work: its whole prompt at first, one token per step once it decodes, and
    prompt and completion together after a preemption has taken its blocks.
    """

    __slots__ = (
        "_seed",
        "block_hashes",
        "block_ids",
        "cached_tokens",
        "constraint",
        "index",
        "num_computed",
        "num_prompt",
        "prompt_logprobs",
        "request_id",
        "sampling",
        "status",
        "token_ids",
    )

    def __init__(self, request: AddRequest, index: int) -> None:
        self.request_id = request.request_id
        self.index = index
        self.sampling = request.sampling
        self.token_ids = list(request.prompt_token_ids)
        self.num_prompt = len(self.token_ids)
        self.num_computed = 0
        self.cached_tokens: int | None = None
        self.block_ids: list[int] = []
        self.block_hashes: list[bytes] = []  # of the full blocks so far; tokens never change, so they outlive a preemption
        self.status = SequenceStatus.WAITING
        self.constraint: TokenConstraint | None = None
        self.prompt_logprobs: list[TokenLogprobs | None] = []
        seed = request.sampling.seed
        self._seed = secrets.randbits(64) if seed is None else seed

    @property
    def remaining(self) -> int:
        return len(self.token_ids) - self.num_computed

    @property
    def is_decoding(self) -> bool:
        return self.remaining == 1 and self.num_computed >= self.num_prompt

    @property
    def num_completion(self) -> int:
        return len(self.token_ids) - self.num_prompt

    def uniform(self) -> float:
        """A number in [0, 1) that seed, choice and position decide alone: neighbours, preemption and repeated steps do not."""
        place = f"{self._seed}/{self.index}/{self.num_completion}"
        return (int.from_bytes(blake2b(place.encode(), digest_size=8).digest()) >> 11) / 2**53

    @property
    def completion_token_ids(self) -> list[int]:
        return self.token_ids[self.num_prompt :]

    @property
    def wants_prompt_logprobs(self) -> bool:
        return self.sampling.prompt_logprobs is not None and self.num_completion == 0
