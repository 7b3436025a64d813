"""Incremental detokenization: a character that is split over several tokens appears when it is complete."""

import codecs
from collections.abc import Callable, Sequence
from typing import Protocol

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Detokenizer(Protocol):
    """The results of all pushes and of the flush, joined, are the text of all ids. Special tokens have no text."""

    def push(self, ids: Sequence[int]) -> str: ...

    def flush(self) -> str:
        """The rest of the text, with U+FFFD for an incomplete character. No push may follow."""
        ...


class ByteDetokenizer:
    """For vocabularies whose tokens stand for bytes. Each token costs one dictionary lookup."""

    def __init__(self, token_bytes: Callable[[int], bytes], strip_start: int = 0) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip = strip_start

    def push(self, ids: Sequence[int]) -> str:
        text = self._decoder.decode(b"".join(map(self._token_bytes, ids)))
        return self._strip_start(text) if self._strip else text

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)

    def _strip_start(self, text: str) -> str:
        while self._strip and text.startswith(" "):
            text, self._strip = text[1:], self._strip - 1
        if text:
            self._strip = 0
        return text


class StreamDetokenizer:
    """For any other decoder of the tokenizers library. The text continues the ids of `after`."""

    def __init__(self, tokenizer: Tokenizer, after: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(ids=list(after), skip_special_tokens=True)
        self._before = list(after)
        self._ids: list[int] = []
        self._emitted = 0

    def push(self, ids: Sequence[int]) -> str:
        self._ids += ids
        text = "".join(self._stream.step(self._tokenizer, token_id) or "" for token_id in ids)
        self._emitted += len(text)
        return text

    def flush(self) -> str:
        skipped = len(self._tokenizer.decode(self._before)) + self._emitted
        return self._tokenizer.decode(self._before + self._ids)[skipped:]
