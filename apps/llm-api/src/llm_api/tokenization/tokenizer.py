"""Text to token ids and back, by the model's tokenizer.json."""

import codecs
import json
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from llm_api.refusal import Refusal
from llm_api.tokenization.detokenizer import ByteDetokenizer, Detokenizer, StreamDetokenizer
from llm_api.tokenization.marked_prompt import MarkedPromptEncoder
from llm_api.tokenization.surrogates import without_lone_surrogates
from llm_api.tokenization.token_bytes import token_bytes_from


class UnusableTokenizer(Refusal):
    """tokenizer.json is broken, or of a newer kind."""


class Tokenizer:
    """Safe to share between threads."""

    def __init__(self, model_path: Path) -> None:
        """Raises UnusableTokenizer."""
        self._file = model_path / "tokenizer.json"
        try:
            source = self._file.read_text(encoding="utf-8")
            self._tokenizer = tokenizers.Tokenizer.from_str(source)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library has no class for its errors, and its panics are no Exception
            reason = f"{self._file} is not a tokenizer that tokenizers {tokenizers.__version__} can read: {error}"
            raise UnusableTokenizer(reason[:300]) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        definition: dict[str, Any] = json.loads(source)
        added = definition.get("added_tokens") or []
        self.kind = type(self._tokenizer.model).__name__  # BPE, Unigram, WordPiece or WordLevel
        self._special_ids = {token["id"] for token in added if token["special"]}
        self.special_token_ids: dict[str, int] = {token["content"]: token["id"] for token in added if token["special"]}
        self.special_tokens = list(self.special_token_ids)
        self.added_tokens = [token["content"] for token in added]
        self._reads = token_bytes_from(definition.get("decoder"))
        self._keeps_length = definition.get("normalizer") is None
        self._bytes: dict[int, bytes] = {}
        self._text_bytes: dict[int, bytes] = dict.fromkeys(self._special_ids, b"")

    @property
    def size(self) -> int:
        """One more than the highest id, without added tokens."""
        return max(self._tokenizer.get_vocab(with_added_tokens=False).values(), default=-1) + 1

    def added_beyond(self, size: int) -> list[str]:
        """The added tokens whose ids are `size` or more."""
        return [token for token in self.added_tokens if (self.token_id(token) or 0) >= size]

    def token_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def special_ids_in(self, texts: Iterable[str]) -> frozenset[int]:
        """The ids of special tokens that are part of these texts."""
        return frozenset(token_id for token, token_id in self.special_token_ids.items() if any(token in text for text in texts))

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return self.encode_batch([text], add_special_tokens)[0]

    def encode_batch(self, texts: Sequence[str], add_special_tokens: bool) -> list[list[int]]:
        """Strings of special tokens in a text become those tokens, like in transformers.

        Releases the GIL, unlike the library's `encode`. Lone surrogates become U+FFFD.
        """
        whole = [without_lone_surrogates(text) for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(whole, add_special_tokens=add_special_tokens)]

    def marked_encoder(self, control_tokens: Collection[str]) -> MarkedPromptEncoder:
        """For prompts in which some strings of `control_tokens` are plain text. Takes as long as loading the tokenizer."""
        return MarkedPromptEncoder(self._file, control_tokens)

    def encode_with_offsets(self, text: str, add_special_tokens: bool) -> tuple[list[int], list[int]]:
        """The ids, and the character offset of each in the text."""
        encoding = self._tokenizer.encode_batch([without_lone_surrogates(text)], add_special_tokens=add_special_tokens)[0]
        return encoding.ids, [start for start, _ in encoding.offsets]

    def text_with_offsets(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        """The text with its special tokens, and the character offset of each id."""
        decoder, text, offsets = codecs.getincrementaldecoder("utf-8")("replace"), "", []
        for token_id in ids:
            offsets.append(len(text))
            text += decoder.decode(self.token_bytes(token_id))
        return text + decoder.decode(b"", final=True), offsets

    def least_tokens(self, text: str) -> int:
        """A lower bound of the text's length in tokens, without encoding it; 0 where no bound is known."""
        return len(text) // self._longest_token if self._keeps_length else 0

    def decode(self, ids: Sequence[int]) -> str:
        detokenizer = self.detokenizer()
        return detokenizer.push(ids) + detokenizer.flush()

    def whole_text(self, ids: Sequence[int]) -> str:
        """With the text of special tokens."""
        detokenizer = self.detokenizer(kept=self._special_ids)
        return detokenizer.push(ids) + detokenizer.flush()

    def names(self, ids: Iterable[int]) -> list[str]:
        """As the vocabulary writes the tokens; empty for an id outside of it."""
        return [self._tokenizer.id_to_token(token_id) or "" for token_id in ids]

    def detokenizer(self, after: Sequence[int] = (), kept: Collection[int] = ()) -> Detokenizer:
        """Detokenizes ids that continue the ids of `after`. Some vocabularies drop a space at the start of a text.

        An incomplete character at the end of `after` is completed. `kept`: special tokens that have a text, their own.
        """
        if self._reads is None:
            return StreamDetokenizer(self._tokenizer, frozenset(self._special_ids).difference(kept), after)

        def with_kept(token_id: int) -> bytes:
            return self.token_bytes(token_id) if token_id in kept else self._bytes_of_text(token_id)

        return ByteDetokenizer(with_kept if kept else self._bytes_of_text, self._reads.strip_start, after)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token, special tokens included; empty for an id outside the vocabulary."""
        known = self._bytes.get(token_id)
        if known is None:
            known = self._bytes[token_id] = self._read_bytes(token_id)
        return known

    def token_text(self, token_id: int) -> str:
        r"""One token's text. A token of incomplete characters reads `bytes:\xe2\x82`, as OpenAI writes it."""
        token_bytes = self.token_bytes(token_id)
        try:
            return token_bytes.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token_bytes)

    def _bytes_of_text(self, token_id: int) -> bytes:
        known = self._text_bytes.get(token_id)
        if known is None:
            known = self._text_bytes[token_id] = self.token_bytes(token_id)
        return known

    def _read_bytes(self, token_id: int) -> bytes:
        token = self._tokenizer.id_to_token(token_id)
        if token is None:
            return b""
        if token_id in self._special_ids:
            return token.encode()
        return self._reads.of(token) if self._reads else self._tokenizer.decode([token_id]).encode()

    @cached_property
    def special_ids_around(self) -> tuple[list[int], list[int]]:
        """The tokens that `add_special_tokens` puts before and after a text."""
        plain, whole = self.encode_batch(["a"], False)[0], self.encode_batch(["a"], True)[0]
        start = next(at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
        return whole[:start], whole[start + len(plain) :]

    @cached_property
    def _longest_token(self) -> int:
        return max(map(len, self._tokenizer.get_vocab()))
