"""Converts tekken.json, Mistral's form of a byte-level BPE vocabulary, to the form of tokenizer.json.

The form is that of mistral-common (tokens/tokenizers/tekken.py), which itself is not needed: the file has the rule that splits text.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

_FIRST = (
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
)  # fmt: skip  of files that list none
_BOS = "<s>"


def convert_tekken(file: Path) -> Tokenizer:
    """Control tokens have the first ids."""
    content = json.loads(file.read_bytes())
    config = content["config"]
    control = _control_tokens(content, config["default_num_special_tokens"])
    entries = content["vocab"][: config["default_vocab_size"] - len(control)]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in entries}
    ids = {token: number for number, token in enumerate(control)} | {_written(token): len(control) + rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(ids, list(_merges(ranks)), ignore_merges=True))
    splits = pre_tokenizers.Split(Regex(config["pattern"]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_BOS} $A", special_tokens=[(_BOS, ids[_BOS])])
    return tokenizer


def _control_tokens(content: dict[str, Any], count: int) -> list[str]:
    listed = {entry["rank"]: entry["token_str"] for entry in content.get("special_tokens") or ()} or dict(enumerate(_FIRST))
    return [listed.get(number, f"<SPECIAL_{number}>") for number in range(count)]


def _merges(ranks: dict[bytes, int]) -> Iterator[tuple[str, str]]:
    """The pairs that make a token, by its rank: BPE merges the pair of the lowest rank."""
    for token in sorted(ranks, key=ranks.__getitem__):
        pairs = [(token[:split], token[split:]) for split in range(1, len(token))]
        known = [pair for pair in pairs if pair[0] in ranks and pair[1] in ranks]
        yield from ((_written(left), _written(right)) for left, right in sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]])))


def _alphabet() -> dict[int, str]:
    """GPT-2's characters for bytes: printable ones are themselves, the others are U+0100 and up, in order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = (byte for byte in range(256) if byte not in printable)
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + rank) for rank, byte in enumerate(hidden)}


_CHARACTER_OF = _alphabet()


def _written(token: bytes) -> str:
    return "".join(map(_CHARACTER_OF.__getitem__, token))
