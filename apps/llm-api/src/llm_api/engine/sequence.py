"""A sequence (one choice of a request, from its prompt to its last token) and a chunk of it (its part in one step)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b

from llm_api.engine.grammar.state import GrammarState
from llm_api.engine.messages import AddRequest, TokenLogprobs
from llm_api.engine.sampler.bad_words import BadWords


class SequenceStatus(Enum):
    WAITING = auto()
    RUNNING = auto()
    FINISHED = auto()


class Sequence:
    """Prompt and completion tokens, and how many of them are in the KV cache.

    `remaining` tokens must be computed before the next token can be sampled: the whole prompt at first, one token once the
    sequence decodes, and prompt and completion together after a preemption has freed its blocks.
    """

    __slots__ = (
        "_seed",
        "arrival",
        "bad_words",
        "block_hashes",
        "block_ids",
        "cached_tokens",
        "end_token_ids",
        "grammar",
        "index",
        "num_computed",
        "num_prompt",
        "priority",
        "prompt_logprobs",
        "request_id",
        "sampling",
        "status",
        "tenant",
        "token_ids",
    )

    def __init__(
        self, request: AddRequest, index: int, eos_token_ids: frozenset[int] = frozenset(), grammar: GrammarState | None = None
    ) -> None:
        """`eos_token_ids`: the model's, which end the sequence unless its request ignores them. `grammar`: not that of another sequence."""
        self.request_id = request.request_id
        self.index = index
        self.priority = request.priority
        self.tenant = request.tenant
        self.arrival = 0  # numbers the requests; the scheduler sets it
        self.sampling = request.sampling
        self.token_ids = list(request.prompt_token_ids)
        self.num_prompt = len(self.token_ids)
        self.num_computed = 0
        self.cached_tokens: int | None = None
        self.block_ids: list[int] = []
        self.block_hashes: list[bytes] = []  # of the full blocks; tokens never change, so they stay valid after a preemption
        self.status = SequenceStatus.WAITING
        self.grammar = grammar
        ignored = request.sampling.ignore_eos and grammar is None
        self.end_token_ids = frozenset(request.sampling.stop_token_ids) | (frozenset() if ignored else eos_token_ids)
        self.bad_words = BadWords(request.sampling.bad_words) if request.sampling.bad_words else None
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
        """A number in [0, 1) that depends only on seed, choice and position, not on other sequences, preemption or repeated steps."""
        key = f"{self._seed}/{self.index}/{self.num_completion}"
        return (int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) >> 11) / 2**53

    @property
    def completion_token_ids(self) -> list[int]:
        return self.token_ids[self.num_prompt :]

    @property
    def wants_prompt_logprobs(self) -> bool:
        return self.sampling.prompt_logprobs is not None and self.num_completion == 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `start + length` of a sequence, computed in one step."""

    sequence: Sequence
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def completes(self) -> bool:
        """Whether the step samples a token of this sequence."""
        return self.end == len(self.sequence.token_ids)
