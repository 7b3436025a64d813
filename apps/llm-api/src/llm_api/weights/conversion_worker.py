"""The conversion process: everything that needs torch or transformers. The converter starts it as

    python -m llm_api.weights.conversion_worker gguf FILE FOLDER | tokenizer FOLDER | check FOLDER

It writes its progress, and at last its error, as JSON lines on stdout. It exits when its stdin closes, which means that its parent is gone.
"""

import json
import os
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from tokenizers import Tokenizer

from llm_api.weights.disk import disk_errors, disk_full, require_space
from llm_api.weights.errors import UnsupportedModel, WeightsError
from llm_api.weights.gguf.model import GgufModel, empty_model, fill, read_gguf
from llm_api.weights.gguf.tensors import Placement, placements
from llm_api.weights.sentencepiece_file import convert_sentencepiece
from llm_api.weights.tekken_file import convert_tekken

_BFLOAT16_BYTES = 2


def main(arguments: list[str]) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run(arguments)
    except WeightsError as error:
        _send(error=str(error))
        return error.exit_code
    return 0


def run(arguments: list[str]) -> None:
    match arguments:
        case ["gguf", file, folder]:
            convert_gguf(Path(file), Path(folder))
        case ["tokenizer", folder]:
            convert_tokenizer(Path(folder))
        case ["check", folder]:
            check_architecture(Path(folder))
        case _:
            raise WeightsError(f"unknown arguments {arguments}")


def convert_gguf(file: Path, folder: Path) -> None:
    _send(stage="reading the file")
    gguf = read_gguf(file)
    require_space(folder.parent, gguf.elements * _BFLOAT16_BYTES, f"to convert {file.name}")
    try:
        with disk_errors(folder.parent):
            _save_gguf(gguf, folder)
    except WeightsError:
        raise
    except Exception as error:
        if "No space left" in str(error):  # safetensors wraps the system's error
            raise disk_full(folder.parent) from error
        raise UnsupportedModel(f"cannot convert {file.name}: {_first_line(error)}") from error
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes 0600; a cache may be shared between users


def _save_gguf(gguf: GgufModel, folder: Path) -> None:
    _send(stage="loading the libraries")
    model = empty_model(gguf)
    _send(stage="weights")
    fill(model, _counted(placements(gguf.header, gguf.architecture, model)))
    _send(stage="writing")
    model.save_pretrained(folder)
    gguf.tokenizer.save(folder)


def convert_tokenizer(folder: Path) -> None:
    """Adds tokenizer.json to a folder that has its tokenizer in another form. The other files are unchanged."""
    _send(stage="tokenizer")
    try:
        _tokenizer_of(folder).save(str(folder / "tokenizer.json"))
    except WeightsError:
        raise
    except Exception as error:
        raise UnsupportedModel(f"cannot make tokenizer.json for {folder.name}: {_first_line(error)}") from error


def _tokenizer_of(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.model").exists():
        return convert_sentencepiece(folder / "tokenizer.model")
    if (folder / "tekken.json").exists():
        return convert_tekken(folder / "tekken.json")
    from transformers import AutoTokenizer

    tokenizer: Tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False).backend_tokenizer
    return tokenizer


def check_architecture(folder: Path) -> None:
    """Raises UnsupportedModel unless the installed transformers has the architecture, without code from the model's folder."""
    _send(stage="loading the libraries")
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    model_type = json.loads((folder / "config.json").read_bytes()).get("model_type")
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UnsupportedModel(
            f"unknown architecture: model_type {model_type!r} in config.json is not a causal language model "
            f"of transformers {transformers.__version__}."
        )


def _counted(placed: Collection[Placement]) -> Iterator[Placement]:
    for done, placement in enumerate(placed):
        _send(stage="weights", done=done, total=len(placed))
        yield placement
    _send(stage="weights", done=len(placed), total=len(placed))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _send(**message: str | int) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read(): that holds a lock which the interpreter needs at exit
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
