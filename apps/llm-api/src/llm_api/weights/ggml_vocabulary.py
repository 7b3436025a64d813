"""The tokenizer of a GGUF with a byte-level BPE vocabulary, with the tokens, ids, merges and control tokens that the file lists.

How text is split before merging has a name in the file (`tokenizer.ggml.pre`). transformers restores neither that nor the ids of control
tokens outside the byte alphabet. The names are llama.cpp's; the regular expressions are those of the families' tokenizer.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from llm_api.weights.errors import UnsupportedModel

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CASED_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+{end}"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*{end}"
)
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{digits}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _SPACES


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern`: None for GPT-2's. `single_digits`: each digit is apart. `whole_words`: words of the vocabulary are not merged.

    `adds_bos`: whether a text begins with the first token where the file does not say.
    """

    pattern: str | None = None
    single_digits: bool = False
    whole_words: bool = False
    adds_bos: bool = False
    composes: bool = False  # Unicode NFC


_GPT2 = Rule()
_DIGITS = Rule(single_digits=True)
_LLAMA3 = Rule(_WORDS.replace("{digits}", "{1,3}"), whole_words=True, adds_bos=True)
_GLM4 = Rule(_WORDS.replace("{digits}", "{1,3}"))
_STABLELM2 = Rule(_WORDS.replace("{digits}", ""))
_QWEN2 = replace(_STABLELM2, composes=True)
_TEKKEN = Rule(_CASED_WORDS.replace("{end}", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES, whole_words=True, adds_bos=True)
_GPT4O = Rule(_CASED_WORDS.replace("{end}", f"{_CONTRACTIONS}?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES)

RULES = (
    dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion"), _GPT2)
    | dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS)
    | dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), _LLAMA3)
    | dict.fromkeys(("glm4", "chatglm-bpe", "dbrx", "smaug-bpe"), _GLM4)
    | dict.fromkeys(("qwen2", "deepseek-r1-qwen"), _QWEN2)
    | dict.fromkeys(("stablelm2", "hunyuan"), _STABLELM2)
    | {"tekken": _TEKKEN, "gpt-4o": _GPT4O, "llama4": _GPT4O}
)
UNNAMED = {"", "default"}  # the file names no rule: the tokenizer that transformers makes is used


def check_pre_tokenizer(name: str) -> None:
    """Raises UnsupportedModel for a rule that is not known: with another one, the model would see other tokens than in training."""
    if name not in RULES and name not in UNNAMED:
        raise UnsupportedModel(f"the pre-tokenizer {name!r} (tokenizer.ggml.pre) is not supported: use the model's safetensors files.")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`control` and `user_defined` are ids. `bos` is the id of the token that begins a text, if one does."""

    tokens: Sequence[str]
    merges: Sequence[str]
    control: Sequence[int]
    user_defined: Sequence[int]
    bos: int | None
    adds_bos: bool | None  # None: the file does not say

    def tokenizer(self, rule: Rule) -> Tokenizer:
        ids = {token: token_id for token_id, token in enumerate(self.tokens)}
        merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in self.merges)]
        tokenizer = Tokenizer(models.BPE(ids, merges, ignore_merges=rule.whole_words))
        if rule.composes:
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = _pre_tokenizer(rule)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(self.tokens[token_id], special=True, normalized=False) for token_id in self.control])
        tokenizer.add_tokens([AddedToken(self.tokens[token_id], normalized=False) for token_id in self.user_defined])
        if self.bos is not None and (rule.adds_bos if self.adds_bos is None else self.adds_bos):
            bos = self.tokens[self.bos]
            tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, self.bos)])
        return tokenizer


def _pre_tokenizer(rule: Rule) -> pre_tokenizers.PreTokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=rule.pattern is None)
    if rule.pattern is not None:
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(rule.pattern), "isolated"), byte_level])
    if rule.single_digits:
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    return byte_level
