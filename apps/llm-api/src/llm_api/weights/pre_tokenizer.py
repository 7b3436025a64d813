"""How a GGUF's text is split before merging, for the families whose split transformers does not restore from the file."""

from tokenizers import Tokenizer, pre_tokenizers

# llama.cpp gives these `tokenizer.ggml.pre` names one rule: each digit alone, then GPT-2's regular expression.
_DIGIT_BY_DIGIT = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")


def restore_split(tokenizer: Tokenizer, ggml_pre: str) -> None:
    if ggml_pre in _DIGIT_BY_DIGIT:
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
