"""Which tokens the grammars allow next. The masks are computed in threads while the model computes the logits."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from llguidance import LLExecutor, LLMatcher
from torch import Tensor

from llm_api.engine.grammar.compiler import GrammarCompiler
from llm_api.engine.machine import available_cores
from llm_api.engine.sequence import Sequence

BITS = 32
MAX_THREADS = 16

Words = npt.NDArray[np.int32]


class StepMasks:
    """The masks of one step: a bit per token of the vocabulary, for each sequence with a grammar."""

    def __init__(self, sequences: list[Sequence], words: "Future[Words]") -> None:
        self._rows = {id(sequence): row for row, sequence in enumerate(sequences)}
        self._words = words

    def apply(self, logits: Tensor, sequences: list[Sequence]) -> list[int]:
        """Sets float32 `logits` [sequences, vocabulary] of tokens that a grammar does not allow to minus infinity, in place.

        Returns the rows of sequences that have a grammar.
        """
        rows = [row for row, sequence in enumerate(sequences) if id(sequence) in self._rows]
        if rows:
            words = self._words.result()
            own = words[[self._rows[id(sequences[row])] for row in rows]]
            forbidden = np.unpackbits(own.view(np.uint8), axis=1, bitorder="little")[:, : logits.shape[1]] == 0
            if forbidden.shape[1] < logits.shape[1]:
                forbidden = np.pad(forbidden, ((0, 0), (0, logits.shape[1] - forbidden.shape[1])), constant_values=True)
            for row, mask in zip(rows, torch.from_numpy(forbidden).to(logits.device), strict=True):
                logits[row].masked_fill_(mask, -torch.inf)
        return rows


class MaskComputer:
    def __init__(self, grammars: GrammarCompiler) -> None:
        self._grammars = grammars
        self._thread: ThreadPoolExecutor | None = None
        self._executor: LLExecutor | None = None

    def begin(self, sequences: list[Sequence]) -> StepMasks | None:
        """Starts to compute the masks of the sequences that have a grammar. None if there are none."""
        matchers = [(sequence, sequence.grammar.matcher) for sequence in sequences if sequence.grammar]
        if not matchers:
            return None
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="masks")
            self._executor = LLExecutor(num_threads=min(available_cores(), MAX_THREADS))
        return StepMasks([sequence for sequence, _ in matchers], self._thread.submit(self._compute, [matcher for _, matcher in matchers]))

    def _compute(self, matchers: list[LLMatcher]) -> Words:
        """Without the GIL. A matcher that reached one of its limits, or a dead end, allows no token."""
        assert self._executor  # noqa: S101
        words: Words = np.zeros((len(matchers), -(-self._grammars.mask_tokens // BITS)), np.int32)
        usable = [(matcher, row) for row, matcher in enumerate(matchers) if not matcher.is_error()]
        if usable:
            self._executor.unsafe_compute_mask_ptr(usable, words.ctypes.data, words.shape[1] * words.itemsize, len(words))
        for matcher, row in usable:
            if matcher.is_error():  # just now: llguidance then allows the end of the text, which may be invalid
                words[row] = 0
        return words
