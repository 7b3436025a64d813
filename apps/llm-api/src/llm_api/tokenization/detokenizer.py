"""Incremental detokenization: a character that is split over several tokens appears when it is complete."""

import codecs
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import islice, product
from typing import Protocol

from tokenizers import Tokenizer

REPLACEMENT = "\ufffd"
LONGEST_CHARACTER = 4  # bytes in UTF-8, and so tokens
CONTEXT = 8  # tokens: enough for every decoder to continue a text
WITHOUT_TEXT = 16  # tokens that may wait for text, so that a step's cost has a limit


class Detokenizer(Protocol):
    """The results of all pushes and of the flush, joined, are the text of all ids. Special tokens have no text."""

    def push(self, ids: Sequence[int]) -> str: ...

    def flush(self) -> str:
        """The rest of the text, with U+FFFD for an incomplete character. No push may follow."""
        ...


class ByteDetokenizer:
    """For vocabularies whose tokens stand for bytes. Each token costs one dictionary lookup.

    The text continues the ids of `after`. If their last character is incomplete, it belongs to this text.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], strip_start: int = 0, after: Sequence[int] = ()) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        before = b"".join(reversed(list(islice(filter(None, map(token_bytes, reversed(after))), LONGEST_CHARACTER))))
        self._decoder.decode(before)
        self._strip = 0 if before else strip_start

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
    """For any other decoder of the tokenizers library. The text continues the ids of `after`, as with ByteDetokenizer.
    Tokens of `special` have no text.

    The library's own DecodeStream raises an exception in the middle of a text where bytes are no UTF-8. This decodes the last tokens
    together instead: what they add to the text before them is new.
    """

    def __init__(self, tokenizer: Tokenizer, special: Collection[int], after: Sequence[int] = ()) -> None:
        self._decode = partial(tokenizer.decode, skip_special_tokens=False)
        self._special = special
        self._before, self._new = self._ends(after)

    def push(self, ids: Sequence[int]) -> str:
        return "".join(self._text_of(token_id) for token_id in ids if token_id not in self._special)

    def flush(self) -> str:
        return self._added()[0]

    def _text_of(self, token_id: int) -> str:
        self._new.append(token_id)
        text, incomplete = self._added()
        waits = incomplete if text else len(self._new) < WITHOUT_TEXT
        if waits:
            return ""
        self._before, self._new = self._new, []
        return text

    def _added(self) -> tuple[str, bool]:
        """The text of the new tokens, and whether its last character may become another one."""
        before, now = self._decode(self._before), self._decode(self._before + self._new)
        return now[len(before) :], now.endswith(REPLACEMENT) and len(self._new) < LONGEST_CHARACTER

    def _ends(self, after: Sequence[int]) -> tuple[list[int], list[int]]:
        """The last ids, which begin and end with a whole character if they can, and the ids of an incomplete one after them."""
        with_text = (token_id for token_id in reversed(after) if token_id not in self._special)
        last = list(islice(with_text, CONTEXT + LONGEST_CHARACTER))[::-1]
        cuts = product(range(len(last), max(len(last) - LONGEST_CHARACTER, 0), -1), range(max(len(last) - CONTEXT, 0) + 1))
        end, start = next((cut for cut in cuts if self._is_whole(last[cut[1] : cut[0]])), (len(last), 0))
        return last[start:end], last[end:]

    def _is_whole(self, ids: Sequence[int]) -> bool:
        text = self._decode(ids)
        return not (text.startswith(REPLACEMENT) or text.endswith(REPLACEMENT))
