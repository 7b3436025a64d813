"""A sentencepiece vocabulary as tokenizer.json: characters are merged into the pieces with the best scores, other bytes are spelled.

The spaces are llama.cpp's: one is put before a text, and before the text after a control token, if the file wants it at all.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers

SPACE = "\u2581"


def tokenizer(tokens: Sequence[str], scores: Sequence[float], unknown: str | None, adds_space: bool) -> Tokenizer:
    from transformers.tokenization_utils_base import generate_merges

    ids = {token: token_id for token_id, token in enumerate(tokens)}
    merges = generate_merges(ids, dict(zip(tokens, scores, strict=True)))
    built = Tokenizer(models.BPE(ids, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    prefix = [normalizers.Prepend(SPACE)] if adds_space else []
    built.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", SPACE)])
    stripped = [decoders.Strip(" ", 1, 0)] if adds_space else []
    built.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *stripped])
    return built
