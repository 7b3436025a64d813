"""Small tokenizer.json folders of the kinds that model families use."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["▁", "▁hello", "▁world", "h", "e", "l", "o", "w", "r", "d", "é", "▁▁"]
MERGES = [("▁", "▁"), ("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("▁", "hello"), ("s", ">"), ("<", "/")]

PrependScheme = Literal["always", "never", "first"]


def byte_fallback(folder: Path, *, by_regex: bool = False) -> Path:
    """As Llama 2 and Mistral: metaspace for spaces, <0xNN> for bytes that are not in the vocabulary.

    `by_regex`: spaces are put back by a regular expression, so each token does not decode on its own.
    """
    model = models.BPE(_ranked([*SPECIAL, *BYTES, *WORDS]), [], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    space = decoders.Replace(Regex("▁") if by_regex else "▁", " ")
    tokenizer.decoder = decoders.Sequence([space, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return _with_special(tokenizer, folder)


def metaspace(folder: Path) -> Path:
    """A decoder that needs the neighbouring tokens, so the stream of the tokenizers library decodes it."""
    tokenizer = Tokenizer(models.BPE(_ranked([*SPECIAL, *WORDS]), []))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _with_special(tokenizer, folder)


def byte_level_bpe() -> Tokenizer:
    """As GPT-2, Llama 3 and Qwen."""
    merges = [(left.replace("▁", "Ġ"), right.replace("▁", "Ġ")) for left, right in MERGES]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    tokenizer = Tokenizer(models.BPE(_ranked(pieces), merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def prepending_bpe() -> Tokenizer:
    """As Llama 2: each stretch of text between control tokens gets a space."""
    tokenizer = Tokenizer(_sentencepiece_bpe())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def metaspace_bpe(scheme: PrependScheme) -> Tokenizer:
    """As Llama 2 and Mistral in newer files: only the start of the prompt gets a space, or every stretch of text, or none."""
    tokenizer = Tokenizer(_sentencepiece_bpe())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=False)
    return tokenizer


def unigram() -> Tokenizer:
    """As T5 and XLM-RoBERTa."""
    scores = {
        piece: -float(rank) for rank, piece in enumerate(["▁", "<", "/", "s", ">", "|", *WORDS[3:], "▁hello", "hello", "▁▁", "</s"], 1)
    }
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("<s>", 0.0), *scores.items()], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return tokenizer


def byte_fallback_by_regex() -> Tokenizer:
    """Spaces are put back by a regular expression, so the library decodes each stretch of tokens."""
    tokenizer = prepending_bpe()
    space = decoders.Replace(Regex("▁"), " ")
    tokenizer.decoder = decoders.Sequence([space, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def word_piece() -> Tokenizer:
    """As BERT: ## continues a word, and spaces before punctuation are dropped."""
    pieces = ["[UNK]", "do", "##n", "n", "'", "t", "##'", "##t", "##s", ".", ",", "?", "not", "##", "hello"]
    tokenizer = Tokenizer(models.WordPiece(_ranked(pieces), unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def word_ends() -> Tokenizer:
    """As GPT-1: </w> ends a word."""
    tokenizer = Tokenizer(models.BPE(_ranked(["he", "llo</w>", "</w>", "x", "y</w>"]), []))
    tokenizer.decoder = decoders.BPEDecoder()
    return tokenizer


def words() -> Tokenizer:
    """No decoder: spaces join the tokens."""
    return Tokenizer(models.WordLevel(_ranked(["hello", "world", "[UNK]"]), unk_token="[UNK]"))


KINDS: list[Callable[[], Tokenizer]] = [
    byte_level_bpe,
    prepending_bpe,
    partial(metaspace_bpe, "first"),
    partial(metaspace_bpe, "always"),
    partial(metaspace_bpe, "never"),
    unigram,
]
DECODERS = [*KINDS, byte_fallback_by_regex, word_piece, word_ends, words]
WITH_BYTES = [byte_level_bpe, prepending_bpe, byte_fallback_by_regex]


def save(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder


def _sentencepiece_bpe() -> models.BPE:
    pieces = [*SPECIAL[:2], *BYTES, "▁", *"helowrdé<>/s|", *map("".join, MERGES)]
    return models.BPE(_ranked(pieces), MERGES, unk_token="<unk>", fuse_unk=True, byte_fallback=True)


def _with_special(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return save(tokenizer, folder)


def _ranked(pieces: list[str]) -> dict[str, int]:
    return {piece: rank for rank, piece in enumerate(pieces)}
