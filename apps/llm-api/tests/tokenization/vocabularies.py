"""Small tokenizer.json folders of the kinds that model families use."""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

WORDS = ["▁", "▁hello", "▁world", "h", "e", "l", "o", "w", "r", "d", "é", "▁▁"]


def byte_fallback(folder: Path, *, by_regex: bool = False) -> Path:
    """As Llama 2 and Mistral: metaspace for spaces, <0xNN> for bytes that are not in the vocabulary.

    `by_regex`: spaces are put back by a regular expression, so each token does not decode on its own.
    """
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS]
    model = models.BPE({piece: rank for rank, piece in enumerate(pieces)}, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    space = decoders.Replace(Regex("▁") if by_regex else "▁", " ")
    tokenizer.decoder = decoders.Sequence([space, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return _saved(tokenizer, folder)


def metaspace(folder: Path) -> Path:
    """A decoder that needs the neighbouring tokens, so the stream of the tokenizers library decodes it."""
    tokenizer = Tokenizer(models.BPE({piece: rank for rank, piece in enumerate(["<unk>", "<s>", "</s>", *WORDS])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _saved(tokenizer, folder)


def _saved(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>")])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder
