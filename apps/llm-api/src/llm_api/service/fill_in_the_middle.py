"""Completions with a `suffix`: the prompt of models that are trained to fill in the middle."""

from collections.abc import Sequence
from functools import cached_property

from llm_api.protocol.errors import InvalidRequest
from llm_api.tokenization.tokenizer import Tokenizer

# Tokens before the text, before what follows the gap, and before what fills it: a model has one of these sets.
MARKERS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, CodeGemma, GLM
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)


class FillInTheMiddle:
    """Threads may share it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def prompt(self, before: str | Sequence[int], after: str, add_special_tokens: bool) -> list[int]:
        """The tokens of a prompt whose completion goes between the two. Raises InvalidRequest if the model has no such prompts."""
        if self._markers is None:
            raise InvalidRequest(
                "'suffix' is not supported by this model: its vocabulary has no tokens to fill in the middle. Leave it out.",
                param="suffix",
                code="unsupported_parameter",
            )
        prefix, suffix, middle = self._markers
        start = self._tokenizer.special_ids_around[0] if add_special_tokens else []
        given = self._ids(before) if isinstance(before, str) else before
        return [*start, prefix, *given, suffix, *self._ids(after), middle]

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)

    @cached_property
    def _markers(self) -> tuple[int, int, int] | None:
        for names in MARKERS:
            prefix, suffix, middle = map(self._tokenizer.token_id, names)
            if prefix is not None and suffix is not None and middle is not None:
                return prefix, suffix, middle
        return None
