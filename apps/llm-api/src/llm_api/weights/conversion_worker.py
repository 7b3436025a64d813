"""The conversion process: everything that needs torch or transformers. The converter starts it as

    python -m llm_api.weights.conversion_worker gguf FILE FOLDER | tokenizer FOLDER | check FOLDER

It writes its progress, and at last its error, as JSON lines on stdout. It exits when its stdin closes, which means that its parent is gone.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from llm_api.weights.disk import disk_errors, disk_full, require_space
from llm_api.weights.errors import UnsupportedModel, WeightsError
from llm_api.weights.ggml_vocabulary import RULES, check_pre_tokenizer
from llm_api.weights.gguf_metadata import GgufMetadata, metadata_of, unread_tensors
from llm_api.weights.sentencepiece_file import convert_sentencepiece
from llm_api.weights.tekken_file import convert_tekken

_BFLOAT16_BYTES = 2
_WEIGHTS_BAR = "Loading weights"  # the name that transformers gives its progress bar over the tensors


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
    metadata = metadata_of(file)
    check_pre_tokenizer(metadata.pre_tokenizer)
    require_space(folder.parent, metadata.elements * _BFLOAT16_BYTES, f"to convert {file.name}")
    try:
        with disk_errors(folder.parent):
            _save_gguf(file, folder, metadata)
    except WeightsError:
        raise
    except Exception as error:
        if "No space left" in str(error):  # safetensors wraps the system's error
            raise disk_full(folder.parent) from error
        raise UnsupportedModel(f"cannot convert {file.name}: {_first_line(error)}") from error
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes 0600; a cache may be shared between users


def _save_gguf(file: Path, folder: Path, metadata: GgufMetadata) -> None:
    _send(stage="loading the libraries")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils.logging import set_tqdm_hook

    _send(stage="weights")
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    config = AutoConfig.from_pretrained(**where)
    metadata.apply(config)
    load: Any = AutoModelForCausalLM.from_pretrained  # its annotation forgets the report
    previous = set_tqdm_hook(_report_weights)
    try:
        model, report = load(
            **where, config=config, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True), output_loading_info=True
        )
    finally:
        set_tqdm_hook(previous)
    _check_complete(report["missing_keys"], unread_tensors(metadata, model))
    _end_turns(model, metadata)
    _send(stage="tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(**where)
    _send(stage="writing")
    model.save_pretrained(folder)
    _save_tokenizer(tokenizer, metadata, folder)


def _check_complete(missing: Collection[str], unread: Collection[str]) -> None:
    """transformers fills what a file lacks with random weights, and passes over what it does not know."""
    if missing:
        raise UnsupportedModel(f"the file has no tensor for {min(missing)}: the model would compute with random weights.")
    if unread:
        raise UnsupportedModel(f"the tensor {min(unread)} would not be used: this variant of the architecture is not supported.")


def _save_tokenizer(tokenizer: Any, metadata: GgufMetadata, folder: Path) -> None:
    """tokenizer_config.json, with the chat template, is from transformers; so is tokenizer.json, if the file names no rule."""
    vocabulary, rule = metadata.vocabulary, RULES.get(metadata.pre_tokenizer)
    if vocabulary is not None and rule is not None:
        tokenizer.bos_token = None if vocabulary.bos is None else vocabulary.tokens[vocabulary.bos]
        tokenizer.eos_token = None if metadata.eos is None else vocabulary.tokens[metadata.eos]
    tokenizer.save_pretrained(folder)
    if vocabulary is not None and rule is not None:
        vocabulary.tokenizer(rule).save(str(folder / "tokenizer.json"))


def _end_turns(model: Any, metadata: GgufMetadata) -> None:
    if metadata.turn_ends:
        model.generation_config.eos_token_id = sorted(set(metadata.turn_ends))


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


def _report_weights(bar: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """transformers calls this in place of making a progress bar."""
    return _counted(args[0]) if kwargs.get("desc") == _WEIGHTS_BAR else bar(*args, **kwargs)


def _counted(tensors: Collection[Any]) -> Iterator[Any]:
    for done, tensor in enumerate(tensors):
        _send(stage="weights", done=done, total=len(tensors))
        yield tensor
    _send(stage="weights", done=len(tensors), total=len(tensors))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _send(**message: str | int) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read(): that holds a lock which the interpreter needs at exit
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
