"""Model folders with a chat template and a minimal tokenizer."""

import json
import shutil
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

TEMPLATES = Path(__file__).parent / "templates"
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True}, "image_token": "<image>"}


def model_folder(folder: Path, template: str | None = None, **tokenizer_config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    Tokenizer(models.BPE({"<s>": 0, "</s>": 1, "<image>": 2}, [])).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(SPECIAL_TOKENS | tokenizer_config))
    if template is not None:
        shutil.copy(TEMPLATES / f"{template}.jinja", folder / "chat_template.jinja")
    return folder
