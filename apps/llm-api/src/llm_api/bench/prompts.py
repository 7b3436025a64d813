"""Prompts of about 110 tokens without a common prefix, so that no prefix cache helps."""

import random
from collections.abc import Iterator
from importlib.resources import files
from itertools import cycle

PASSAGE_WORDS = 60
TOKENS_PER_WORD = 1.27  # of the corpus, by the default model's tokenizer
INSTRUCTION = "Continue the following text in the same tone and at length."

Message = dict[str, str]


class Prompts:
    """Generates any number of prompts. About 500 begin with different words of the corpus, the rest with different triples of words."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._words = (files(__package__) / "corpus.txt").read_text(encoding="utf-8").split()
        openings = sorted({word.strip(".,:;?").capitalize() for word in self._words})
        self._random.shuffle(openings)
        self._openings: Iterator[str] = cycle(openings)

    def passage(self, tokens: int) -> str:
        """Text of about this many tokens, with a unique beginning."""
        words = round(tokens / TOKENS_PER_WORD)
        pieces = [self._opening()]
        for length in [PASSAGE_WORDS] * (words // PASSAGE_WORDS) + [words % PASSAGE_WORDS]:
            start = self._random.randrange(len(self._words) - PASSAGE_WORDS)
            pieces += self._words[start : start + length]
        return " ".join(pieces)

    def next(self) -> list[Message]:
        start = self._random.randrange(len(self._words) - PASSAGE_WORDS)
        passage = " ".join(self._words[start : start + PASSAGE_WORDS])
        # In the system message, because some chat templates add a default system message, the same for all prompts.
        return [{"role": "system", "content": f"{self._opening()}. {INSTRUCTION}"}, {"role": "user", "content": passage}]

    def _opening(self) -> str:
        return " ".join([next(self._openings), *self._random.choices(self._words, k=2)])
