"""A byte-level BPE vocabulary as tokenizer.json. How text is split before merging has a name in the file (`tokenizer.ggml.pre`).

The names are llama.cpp's; the regular expressions are those of the families' tokenizer.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CASED_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+{end}"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*{end}"
)
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{digits}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _SPACES
_MARKED_WORDS = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + _SPACES
_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DEEPSEEK_WORDS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*""" + _SPACES
)
_SENTENCE = r" ?[^(\s|.,!?…。，、।۔،)]+"
_CJK = "[一-龥ࠀ-一가-퟿]+"


@dataclass(frozen=True, slots=True)
class Rule:
    """Text is split by each of `patterns` in turn. `whole_words`: words of the vocabulary are not merged.

    `adds_bos`: whether a text begins with the first token where the file does not say.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    adds_bos: bool = False
    composes: bool = False  # Unicode NFC


_GPT2 = Rule((_GPT2_WORDS,))
_DIGITS = Rule((r"\p{N}", _GPT2_WORDS))
_THREE_DIGITS = Rule((_WORDS.replace("{digits}", "{1,3}"),))
_LLAMA3 = replace(_THREE_DIGITS, whole_words=True, adds_bos=True)
_ONE_DIGIT = Rule((_WORDS.replace("{digits}", ""),))
_QWEN2 = replace(_ONE_DIGIT, composes=True)
_TEKKEN = Rule((_CASED_WORDS.replace("{end}", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES,), whole_words=True, adds_bos=True)
_GPT4O = Rule((_CASED_WORDS.replace("{end}", f"{_CONTRACTIONS}?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES,))
_DEEPSEEK3 = Rule((r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", _DEEPSEEK_WORDS))
_UNNAMED = Rule((r"[\p{P}\$\+<=>\^~\|]+", _GPT2_WORDS, r"\p{N}+", "[0-9][0-9][0-9]"))  # what llama.cpp does with such files

RULES = (
    dict.fromkeys(("", "default"), _UNNAMED)
    | dict.fromkeys(("gpt-2", "phi-2", "jais", "trillion", "granite-docling", "exaone4", "gigachat", "mellum", "a.x-4.0"), _GPT2)
    | dict.fromkeys(("mpt", "olmo"), replace(_GPT2, composes=True))
    | dict.fromkeys(("smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"), _DIGITS)
    | {"command-r": replace(_DIGITS, composes=True)}
    | dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), _LLAMA3)
    | dict.fromkeys(("chatglm-bpe", "dbrx", "smaug-bpe"), _THREE_DIGITS)
    | dict.fromkeys(("glm4", "glm5"), replace(_THREE_DIGITS, whole_words=True))
    | dict.fromkeys(("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"), _QWEN2)
    | dict.fromkeys(("stablelm2", "hunyuan", "solar-open", "grok-2"), _ONE_DIGIT)
    | {"qwen35": Rule((_MARKED_WORDS,), composes=True)}
    | {"tekken": _TEKKEN}
    | dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), _GPT4O)
    | dict.fromkeys(("deepseek-v3", "hunyuan-dense", "joyai-llm"), _DEEPSEEK3)
    | {"deepseek-coder": Rule((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}"))}
    | {"falcon": Rule((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2_WORDS, "[0-9][0-9][0-9]"))}
    | dict.fromkeys(("bloom", "poro-chat", "gpt3-finnish"), Rule((_SENTENCE,)))
    | {"viking": Rule((_SENTENCE, r"\p{N}"))}
)


def tokenizer(tokens: Sequence[str], merges: Sequence[str], rule: Rule) -> Tokenizer:
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    built = Tokenizer(models.BPE(ids, pairs, ignore_merges=rule.whole_words))
    if rule.composes:
        built.normalizer = normalizers.NFC()
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in rule.patterns]
    built.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    built.decoder = decoders.ByteLevel()
    return built
