"""What needs torch or transformers, in a process of its own: `python -m llm_api.weights.convert`
`gguf FILE FOLDER`, `tokenizer FOLDER` or `check FOLDER`.

It tells its stages, and at last its error, as JSON lines on stdout. It ends when its stdin closes: its parent is gone.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from llm_api.weights.disk import disk_errors, disk_full, require_space
from llm_api.weights.errors import UnsupportedModel, WeightsError
from llm_api.weights.pre_tokenizer import restore_split

_BFLOAT16_BYTES = 2


def main(arguments: list[str]) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        match arguments:
            case ["gguf", file, folder]:
                convert_gguf(Path(file), Path(folder))
            case ["tokenizer", folder]:
                convert_tokenizer(Path(folder))
            case ["check", folder]:
                check_architecture(Path(folder))
            case _:
                raise WeightsError(f"unknown arguments {arguments}")
    except WeightsError as error:
        _say(error=str(error))
        return error.exit_code
    return 0


def convert_gguf(file: Path, folder: Path) -> None:
    _say(stage="reading the file")
    pre, elements = _read_gguf(file)
    require_space(folder.parent, elements * _BFLOAT16_BYTES, f"to convert {file.name}")
    try:
        with disk_errors(folder.parent):
            _save_gguf(file, folder, pre)
    except WeightsError:
        raise
    except Exception as error:
        if "No space left" in str(error):  # safetensors wraps the system's error
            raise disk_full(folder.parent) from error
        raise UnsupportedModel(f"cannot convert {file.name}: {_first_line(error)}") from error
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes 0600; a cache may be shared between users


def _read_gguf(file: Path) -> tuple[str, int]:
    """The name of its split rule, and how many weights it holds."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except OSError as error:
        raise UnsupportedModel(f"cannot read {file}: {error.strerror or error}.") from error
    except Exception as error:
        raise UnsupportedModel(f"cannot read {file.name} as GGUF: {_first_line(error)}") from error
    pre = reader.get_field("tokenizer.ggml.pre")
    return (pre.contents() if pre else ""), sum(int(tensor.n_elements) for tensor in reader.tensors)


def _save_gguf(file: Path, folder: Path, pre: str) -> None:
    _say(stage="loading the libraries")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    _say(stage="the weights")
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True))
    _say(stage="the tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(**where)
    restore_split(tokenizer.backend_tokenizer, pre)
    _say(stage="writing")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def convert_tokenizer(folder: Path) -> None:
    """Adds tokenizer.json to a folder that has its tokenizer in another form. The other files stay as they are."""
    _say(stage="loading the libraries")
    from transformers import AutoTokenizer

    _say(stage="the tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    except Exception as error:
        raise UnsupportedModel(f"cannot make tokenizer.json for {folder.name}: {_first_line(error)}") from error


def check_architecture(folder: Path) -> None:
    """Raises UnsupportedModel unless the installed transformers knows the model without code of its own."""
    _say(stage="loading the libraries")
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    model_type = json.loads((folder / "config.json").read_bytes()).get("model_type")
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UnsupportedModel(
            f"unknown architecture: model_type {model_type!r} in config.json is not a causal language model "
            f"that transformers {transformers.__version__} has."
        )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _say(**line: str) -> None:
    print(json.dumps(line), flush=True)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read(): that holds a lock which the interpreter wants when it ends
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
