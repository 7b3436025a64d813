"""Text from token ids as they come: characters split over tokens appear when they are whole, and only then."""

import codecs
from collections.abc import Callable, Sequence
from typing import Protocol

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Detokenizer(Protocol):
    """The pushes and the flush together are the text of all ids. Special tokens have no text."""

    def push(self, ids: Sequence[int]) -> str: ...

    def flush(self) -> str:
        """The rest: what can no longer become a character is U+FFFD. Nothing may be pushed after it."""
        ...


class ByteDetokenizer:
    """For vocabularies whose tokens stand for bytes. A token costs a dictionary look-up."""

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
    """For any other decoder of the tokenizers library. `after` are the ids that the text continues."""

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
