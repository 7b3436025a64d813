"""Encodes prompts in which strings of control tokens may also be plain text.

Splitting such a prompt and encoding the parts would change the tokens around each split: other merges, and for SentencePiece a space of
their own. Here the control tokens have secret strings instead, so one call encodes the whole prompt: their usual strings mean nothing.
"""

import json
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from llm_api.tokenization.surrogates import without_lone_surrogates

# Noncharacters: Unicode reserves them for use within a program.
_BEGIN, _END = "\ufdd0", "\ufdd1"


class MarkedPromptEncoder:
    """Safe to share between threads. Loads the tokenizer a second time: its vocabulary takes memory again."""

    def __init__(self, tokenizer_file: Path, control_tokens: Collection[str]) -> None:
        definition: dict[str, Any] = json.loads(tokenizer_file.read_text(encoding="utf-8"))
        nonce = secrets.token_hex(8)
        self._secret = {token: f"{_BEGIN}{nonce}:{number}{_END}" for number, token in enumerate(control_tokens)}
        _rename(definition, self._secret)
        self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(definition))

    def encode(self, parts: Sequence[str]) -> list[int]:
        """`parts`: plain text, a control token, plain text, and so on. Releases the GIL."""
        text = without_lone_surrogates("".join(self._secret[part] if position % 2 else part for position, part in enumerate(parts)))
        return self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids


def _rename(definition: dict[str, Any], names: dict[str, str]) -> None:
    for token in definition["added_tokens"]:
        if token["content"] in names:
            token |= {"content": names[token["content"]], "normalized": False}
    _rename_in_vocabulary(definition["model"], names)
    definition |= {"post_processor": None, "truncation": None, "padding": None}


def _rename_in_vocabulary(model: dict[str, Any], names: dict[str, str]) -> None:
    """Text cannot become a control token, whatever the model's algorithm: the vocabulary no longer has its usual string."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # unigram
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
        return
    renamed = names.keys() & vocabulary.keys()
    model["vocab"] = {names.get(piece, piece): token_id for piece, token_id in vocabulary.items()}
    if model.get("unk_token") in renamed:
        model["unk_token"] = names[model["unk_token"]]
    if renamed and "merges" in model:
        model["merges"] = [merge for merge in map(_pair, model["merges"]) if renamed.isdisjoint((*merge, "".join(merge)))]


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge
