"""Prompts of known lengths from real text."""

from pathlib import Path

from llm_api.tokenization.tokenizer import Tokenizer

LENGTHS = (9, 17, 32, 64, 130)  # tokens: within a block, at its border, across many
PER_LENGTH = 10


def read_prompts(model_path: Path) -> list[list[int]]:
    """Fifty prompts, ten of each length, no two with a common prefix."""
    text = (Path(__file__).parent / "prompts.txt").read_text()
    tokens = Tokenizer(model_path).encode(text, add_special_tokens=False)
    count = len(LENGTHS) * PER_LENGTH
    stride = (len(tokens) - max(LENGTHS)) // count
    starts = range(0, count * stride, stride)
    return [tokens[start : start + LENGTHS[number % len(LENGTHS)]] for number, start in enumerate(starts)]
