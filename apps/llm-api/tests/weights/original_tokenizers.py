"""Small tokenizers like those of published families, trained on the pages of this repository, and texts to compare tokens with."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

DOCS = Path(__file__).parents[4] / "docs"
CONTROL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<｜User｜>")
USER_DEFINED = ("<think>", "<|fim|>")
WORDS = 600  # tokens of a vocabulary beside its alphabet and CONTROL


@dataclass(frozen=True)
class Family:
    """`split`: the pre-tokenizer of the family's tokenizer.json, as text is split before its bytes are spelled."""

    split: PreTokenizer
    normalizer: Normalizer | None = None
    whole_words: bool = False


def _split(*patterns: str) -> PreTokenizer:
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns), bytes_only])


_LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN_2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT_4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK_3 = (
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
)
_GPT_2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
_DIGITS = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT_2])

FAMILIES = {
    "gpt-2": Family(_GPT_2),
    "smollm": Family(_DIGITS),
    "command-r": Family(_DIGITS, normalizers.NFC()),
    "llama-bpe": Family(_split(_LLAMA_3), whole_words=True),
    "glm4": Family(_split(_LLAMA_3), whole_words=True),
    "dbrx": Family(_split(_LLAMA_3)),
    "qwen2": Family(_split(_QWEN_2), normalizers.NFC()),
    "stablelm2": Family(_split(_QWEN_2)),
    "tekken": Family(_split(_TEKKEN), whole_words=True),
    "gpt-4o": Family(_split(_GPT_4O)),
    "deepseek-v3": Family(_split(*_DEEPSEEK_3)),
}


def byte_level(family: Family) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=family.whole_words))
    if family.normalizer is not None:
        tokenizer.normalizer = family.normalizer
    tokenizer.pre_tokenizer, tokenizer.decoder = family.split, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS + len(alphabet), initial_alphabet=alphabet, special_tokens=list(CONTROL), show_progress=False
    )
    tokenizer.train_from_iterator(pages(), trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in USER_DEFINED])
    return tokenizer


def sentencepiece(adds_space: bool) -> Tokenizer:
    """As transformers saves the tokenizer of Llama 2 (with a space before each text) or Gemma (without)."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    prefix = [normalizers.Prepend("▁")] if adds_space else []
    tokenizer.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for training: pieces do not cross spaces
    special = [AddedToken(token, normalized=False) for token in (*CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)))]
    tokenizer.train_from_iterator(pages(), trainers.BpeTrainer(vocab_size=WORDS + 256, special_tokens=special, show_progress=False))
    trained = Tokenizer(tokenizer.model)
    trained.normalizer = tokenizer.normalizer
    trained.add_special_tokens([AddedToken(token, normalized=False) for token in CONTROL])
    trained.add_tokens([AddedToken(token, normalized=False) for token in USER_DEFINED])
    return trained


@cache
def pages() -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md")))


_ALPHABETS = (
    "abcXYZ",
    "0123456789",
    "\n\t\r",
    "!?.,;:-_()[]{}<>/\\|@#$%^&*+=~`\"'",
    "éèüñçßÅ\u0301\u0308",
    "日本語中文漢字ひらカタ한국어",
    "Приветمرحباहिन्दीไทย",
    "😀👩‍💻🇩🇪🎉\u200d\u200b\ufeff",
    "½²³ⅷﬁ\u00a0\u2003\u3000\x00▁",
)
_PIECES = (*CONTROL, *USER_DEFINED, "<0x0A>", "'s", "'LL", "def f(x):\n    return x * 2\n", "1234567", "  ", " " * 5)


def texts(count: int) -> Iterator[str]:
    """Sentences, code, control tokens, numbers, spaces and characters of many scripts, always the same ones."""
    random_ = random.Random(0)
    prose = "\n".join(pages())
    for _ in range(count):
        yield "".join(_piece(random_, prose) for _ in range(random_.randrange(1, 9)))


def _piece(random_: random.Random, prose: str) -> str:
    match random_.randrange(5):
        case 0:
            return random_.choice(_PIECES)
        case 1:
            start = random_.randrange(len(prose) - 40)
            return prose[start : start + random_.randrange(1, 40)]
        case 2:
            return chr(random_.choice((random_.randrange(0x20, 0xD800), random_.randrange(0xE000, 0x30000))))
        case _:
            return "".join(random_.choices(random_.choice(_ALPHABETS), k=random_.randrange(1, 6)))
