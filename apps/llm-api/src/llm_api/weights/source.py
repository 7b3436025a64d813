"""A model that is ready to be served."""

import re
from dataclasses import dataclass
from pathlib import Path

_QUANTIZATION = re.compile(r"[.-](?:i?q\d\w*|tq\d\w*|mxfp4\w*|b?f16|f32)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """`path` holds config.json, *.safetensors and tokenizer.json; `name` is what clients may call it."""

    path: Path
    name: str
    remote_code: bool = False


def gguf_name(path: str) -> str:
    """SmolLM2-135M-Instruct.Q4_1.gguf is called SmolLM2-135M-Instruct: the quantization is gone once converted."""
    stem = Path(path).stem
    return _QUANTIZATION.sub("", stem) or stem
