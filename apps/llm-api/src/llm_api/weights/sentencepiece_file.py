"""Converts a sentencepiece model (tokenizer.model) to the form of tokenizer.json, and compares the two.

transformers 5.23 has converters for the tokenizer classes that it knows. For others it leaves out the space before the first word, and
merges spaces in another order: every prompt then has other tokens than in training.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from llm_api.weights.errors import UnsupportedModel

SPACE = "▁"
UNIGRAM, BPE = 1, 2  # trainer_spec.model_type in sentencepiece_model.proto
UNKNOWN, CONTROL, USER_DEFINED, BYTE = 2, 3, 4, 6  # types of pieces
FIX = "Add the tokenizer.json of the model to the folder"
SAMPLES = (
    "The answer is 42, isn't it?", " leading and trailing ", "two  spaces,   three", "a\nb\n\nc\td", "def f(x):\n    return x**2  # ok\n",
    "x", " ", "123456 3.14 1,000", "naïve café São Tomé", "Привет, мир", "漢字とかな", "안녕하세요", "مرحبا", "🙂👍🏽", "e\u0301 ﬁ Ａ ½",
    "https://example.com/a?b=c&d=%20", "HTTPServerError camelCase snake_case", "{\"key\": [1, null]}", "\u200bzero", "...---!!!",
)  # fmt: skip


def convert_sentencepiece(file: Path) -> Tokenizer:
    """Raises UnsupportedModel where the result would give other tokens than sentencepiece does."""
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    generated: Any = sentencepiece_model_pb2  # protobuf adds its classes when it is imported
    proto = generated.ModelProto.FromString(file.read_bytes())
    settings = _settings(file.parent)
    tokenizer = Tokenizer(_model(proto, file))
    _set_spaces(tokenizer, proto, is_legacy=bool(settings.get("legacy")))
    kept = [piece for piece in proto.pieces if piece.type in {UNKNOWN, CONTROL, USER_DEFINED}]
    tokenizer.add_tokens([AddedToken(piece.piece, special=piece.type != USER_DEFINED, normalized=False) for piece in kept])
    _compare(tokenizer, SentencePieceProcessor(model_proto=file.read_bytes()), file, first_space=proto.normalizer_spec.add_dummy_prefix)
    _add_tokens(tokenizer, settings, file)
    _add_ends(tokenizer, settings)
    return tokenizer


def _model(proto: Any, file: Path) -> models.Model:
    specification = proto.trainer_spec
    if specification.model_type == UNIGRAM:
        pieces = [(piece.piece, piece.score) for piece in proto.pieces]
        return models.Unigram(pieces, unk_id=specification.unk_id, byte_fallback=specification.byte_fallback)
    if specification.model_type != BPE:
        raise UnsupportedModel(f"{file} is a sentencepiece model of a kind other than BPE and unigram. {FIX}.")
    ids = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    unknown = proto.pieces[specification.unk_id].piece
    return models.BPE(ids, list(_merges(proto)), unk_token=unknown, fuse_unk=True, byte_fallback=specification.byte_fallback)


def _merges(proto: Any) -> Iterator[tuple[str, str]]:
    """sentencepiece merges the pair whose result has the highest score."""
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type not in {UNKNOWN, CONTROL, USER_DEFINED, BYTE}}
    for piece in sorted(scores, key=lambda piece: -scores[piece]):
        for split in range(1, len(piece)):
            if piece[:split] in scores and piece[split:] in scores:
                yield piece[:split], piece[split:]


def _set_spaces(tokenizer: Tokenizer, proto: Any, *, is_legacy: bool) -> None:
    """sentencepiece begins a text with a space. transformers leaves it out after a control token, unless tokenizer_config.json has
    `legacy`, and where the text begins with one.
    """
    charsmap, has_prefix = proto.normalizer_spec.precompiled_charsmap, proto.normalizer_spec.add_dummy_prefix
    steps: list[normalizers.Normalizer] = [normalizers.Precompiled(charsmap)] if charsmap else []
    if has_prefix and is_legacy:
        steps.append(normalizers.Prepend(SPACE))
    if has_prefix and not is_legacy:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)
    else:
        steps.append(normalizers.Replace(" ", SPACE))
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    strip = [decoders.Strip(" ", 1, 0)] if has_prefix else []
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip])


def _compare(tokenizer: Tokenizer, original: Any, file: Path, *, first_space: bool) -> None:
    for sample in SAMPLES:
        text = sample.lstrip(" ") if first_space else sample
        if tokenizer.encode(text, add_special_tokens=False).ids != original.encode(text):
            raise UnsupportedModel(f"{file} cannot be converted exactly: sentencepiece gives {text!r} other tokens. {FIX}.")


def _add_tokens(tokenizer: Tokenizer, settings: dict[str, Any], file: Path) -> None:
    """Tokens that fine-tuning added behind the pieces."""
    for token_id, token in sorted(settings["added"].items()):
        if tokenizer.token_to_id(token.content) is None:
            tokenizer.add_tokens([token])
        if tokenizer.token_to_id(token.content) != token_id:
            raise UnsupportedModel(f"{file.parent} gives the added token {token.content!r} the id {token_id}, which leaves a gap. {FIX}.")


def _add_ends(tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    bos = settings["bos_token"]
    if bos is not None and (bos_id := tokenizer.token_to_id(bos)) is not None and settings.get("add_bos_token", True):
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, bos_id)])


def _settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, with `added`: its added tokens, and those of added_tokens.json, by id."""
    settings, older = _json(folder / "tokenizer_config.json"), _json(folder / "added_tokens.json")
    added = {token_id: AddedToken(text, normalized=False) for text, token_id in older.items()}
    for token_id, entry in (settings.get("added_tokens_decoder") or {}).items():
        added[int(token_id)] = AddedToken(entry["content"], special=entry.get("special", False), normalized=False)
    bos = settings.get("bos_token", "<s>")
    return settings | {"added": added, "bos_token": bos["content"] if isinstance(bos, dict) else bos}


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content
