"""How a byte-level BPE vocabulary splits text before merging, by the name that a GGUF gives the rule (`tokenizer.ggml.pre`).

transformers restores none of these rules. The names are llama.cpp's; the regular expressions are those of the families' tokenizer.json.
"""

from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, pre_tokenizers

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
    """`pattern`: None for GPT-2's. `single_digits`: each digit is apart. `whole_words`: words of the vocabulary are not merged."""

    pattern: str | None = None
    single_digits: bool = False
    whole_words: bool = False


_GPT2 = Rule()
_DIGITS = Rule(single_digits=True)
_LLAMA3 = Rule(_WORDS.replace("{digits}", "{1,3}"), whole_words=True)
_GLM4 = Rule(_WORDS.replace("{digits}", "{1,3}"))
_QWEN2 = Rule(_WORDS.replace("{digits}", ""))
_TEKKEN = Rule(_CASED_WORDS.replace("{end}", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES, whole_words=True)
_GPT4O = Rule(_CASED_WORDS.replace("{end}", f"{_CONTRACTIONS}?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES)

RULES = (
    dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion"), _GPT2)
    | dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS)
    | dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), _LLAMA3)
    | dict.fromkeys(("glm4", "chatglm-bpe", "dbrx", "smaug-bpe"), _GLM4)
    | dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan"), _QWEN2)
    | {"tekken": _TEKKEN, "gpt-4o": _GPT4O, "llama4": _GPT4O}
)
UNNAMED = {"", "default"}  # files of converters that knew no names: transformers' rule of the architecture stays


def check_pre_tokenizer(name: str) -> None:
    """Raises UnsupportedModel for a rule that is not known: with another one, the model would see other tokens than in training."""
    if name not in RULES and name not in UNNAMED:
        raise UnsupportedModel(f"the pre-tokenizer {name!r} (tokenizer.ggml.pre) is not supported: use the model's safetensors files.")


def restore_pre_tokenizer(tokenizer: Tokenizer, name: str) -> None:
    rule = RULES.get(name)
    if rule is None:
        return
    tokenizer.model.ignore_merges = rule.whole_words
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=rule.pattern is None)
    if rule.pattern is not None:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(rule.pattern), "isolated"), byte_level])
    elif rule.single_digits:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    else:
        tokenizer.pre_tokenizer = byte_level
