"""The tokenizer of a GGUF: the tokens, ids, merges and control tokens that the file lists, as tokenizer.json."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf import byte_level, sentencepiece
from llm_api.weights.gguf.header import Header

_TURN_ENDS = ("eos", "eot", "eom")
_NAMED = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


@dataclass(frozen=True, slots=True)
class GgufTokenizer:
    """`model`: llama (sentencepiece) or gpt2 (byte-level). Ids are positions in `tokens`. `named`: bos, eos, unknown and padding.

    `whole`: ids of control, unknown and user-defined tokens, which are found in text before anything else. `special`: those that
    are control or unknown. `strips`: those after which spaces are dropped.
    """

    model: str
    pre_tokenizer: str
    tokens: Sequence[str]
    merges: Sequence[str]
    scores: Sequence[float]
    whole: Sequence[int]
    special: frozenset[int]
    strips: frozenset[int]
    named: dict[str, int]
    adds_bos: bool
    adds_eos: bool
    adds_space: bool
    template: str | None
    turn_ends: list[int]

    def build(self) -> Tokenizer:
        if self.model == "llama":
            unknown = self.tokens[self.named["unk_token"]] if "unk_token" in self.named else None
            tokenizer = sentencepiece.tokenizer(self.tokens, self.scores, unknown, self.adds_space)
        else:
            tokenizer = byte_level.tokenizer(self.tokens, self.merges, byte_level.RULES[self.pre_tokenizer])
        for token_id in self.whole:
            token, special = self.tokens[token_id], token_id in self.special
            added = AddedToken(token, special=special, normalized=False, rstrip=token_id in self.strips)
            tokenizer.add_special_tokens([added]) if special else tokenizer.add_tokens([added])
        before = [self._named("bos_token")] if self.adds_bos else []
        after = [self._named("eos_token")] if self.adds_eos else []
        if before or after:
            single = [*(token for token, _ in before), "$A", *(token for token, _ in after)]
            tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[*before, *after])
        return tokenizer

    def save(self, folder: Path) -> None:
        self.build().save(str(folder / "tokenizer.json"))
        settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        settings |= {name: self.tokens[token_id] for name, token_id in self.named.items()}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False, indent=2), encoding="utf-8")
        if self.template is not None:
            (folder / "chat_template.jinja").write_text(self.template, encoding="utf-8")

    def _named(self, name: str) -> tuple[str, int]:
        return self.tokens[self.named[name]], self.named[name]


def read_tokenizer(header: Header, rows: int) -> GgufTokenizer:
    """`rows` of the embedding. Raises UnsupportedModel for a tokenizer that would give other tokens than in training."""
    model, pre = _key(header, "model"), _key(header, "pre", "")
    if model not in ("llama", "gpt2"):
        raise UnsupportedModel(f"the tokenizer {model!r} (tokenizer.ggml.model) is not supported: use the model's safetensors files.")
    if model == "gpt2" and pre not in byte_level.RULES:
        raise UnsupportedModel(f"the pre-tokenizer {pre!r} (tokenizer.ggml.pre) is not supported: use the model's safetensors files.")
    rule = byte_level.RULES[pre] if model == "gpt2" else None
    tokens = [token or f"[EMPTY_{number}]" for number, token in enumerate(_key(header, "tokens", []))]
    _check_tokens(tokens, rows)
    named = {name: token_id for name, key in _NAMED.items() if (token_id := _id(header, key, len(tokens))) is not None}
    kinds = _kinds(header, len(tokens))
    special = frozenset(number for number, kind in enumerate(kinds) if kind in ("CONTROL", "UNKNOWN"))
    whole = sorted(special | {number for number, kind in enumerate(kinds) if kind == "USER_DEFINED"})
    ends = [token_id for key in _TURN_ENDS if (token_id := _id(header, key, len(tokens))) is not None]
    adds_bos = bool(_key(header, "add_bos_token", rule.adds_bos if rule else True))
    adds_eos = bool(_key(header, "add_eos_token", False))
    return GgufTokenizer(
        model=model,
        pre_tokenizer=pre,
        tokens=tokens,
        merges=_key(header, "merges", []),  # old files with a sentencepiece vocabulary have some, which follow from the scores
        scores=_key(header, "scores", [0.0] * len(tokens)),
        whole=whole,
        special=special,
        strips=_strips(header, tokens, special) if model == "llama" else frozenset(),
        named=named,
        adds_bos=adds_bos and "bos_token" in named,
        adds_eos=adds_eos and "eos_token" in named,
        adds_space=bool(_key(header, "add_space_prefix", True)) if model == "llama" else False,
        template=header.get("tokenizer.chat_template"),
        turn_ends=sorted(set(ends)),
    )


def _key(header: Header, name: str, default: Any = None) -> Any:
    return header.get(f"tokenizer.ggml.{name}", default)


def _id(header: Header, name: str, count: int) -> int | None:
    """Some files name a token that is beyond the vocabulary, which means none."""
    token_id = _key(header, f"{name}_token_id")
    return int(token_id) if token_id is not None and 0 <= token_id < count else None


def _kinds(header: Header, count: int) -> list[str]:
    from gguf import TokenType

    return [TokenType(kind).name for kind in _key(header, "token_type", [TokenType.NORMAL] * count)]


def _check_tokens(tokens: Sequence[str], rows: int) -> None:
    if not tokens:
        raise UnsupportedModel("the file has no key tokenizer.ggml.tokens: convert the model again, with its tokenizer.")
    if len(tokens) > rows:
        raise UnsupportedModel(f"tokenizer.ggml.tokens has {len(tokens)} tokens, but token_embd.weight has {rows} rows.")
    if len(set(tokens)) < len(tokens):
        repeated = next(token for token, times in Counter(tokens).items() if times > 1)
        raise UnsupportedModel(f"tokenizer.ggml.tokens lists {repeated!r} twice: convert the model again.")


def _strips(header: Header, tokens: Sequence[str], special: frozenset[int]) -> frozenset[int]:
    """Phi-3 drops spaces after control tokens. No key says so: llama.cpp goes by the name, too."""
    name = (header.get("general.name") or "").lower()
    if "phi-3" not in name and "phi3" not in name:
        return frozenset()
    return frozenset(token_id for token_id in special if tokens[token_id] not in ("<unk>", "<s>", "<|endoftext|>"))
