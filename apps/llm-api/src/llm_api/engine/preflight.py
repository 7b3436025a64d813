"""Compares a model with the settings before it is loaded. Imports neither torch nor transformers: a refusal takes milliseconds."""

from pathlib import Path

from llm_api.engine.errors import EngineError, SettingRefused
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.decoder_shapes import check_shapes
from llm_api.engine.models.headers import read_headers
from llm_api.engine.models.model_config import ModelConfig, written_out_config


def preflight(config: EngineConfig) -> None:
    """Checks what the files alone say. The engine checks the same again, and the rest, when it has imported its libraries.

    Raises EngineError where a file is at fault, SettingRefused where a setting is.
    """
    path = Path(config.model_path)
    headers, model = read_headers(path), written_out_config(path)
    if model is not None:
        check_settings(config, model)
        if model.uses_fast_path(config.runner):
            check_shapes(headers, model)


def check_settings(config: EngineConfig, model: ModelConfig) -> None:
    limit = model.max_position_embeddings
    if config.max_model_len and config.max_model_len > limit:
        raise SettingRefused(f"MAX_MODEL_LEN is {config.max_model_len}, but the model supports {limit} tokens: set at most {limit}")
    refusal = model.fast_path_refusal()
    if config.runner in {"native", "torch"} and refusal is not None:
        raise SettingRefused(f"RUNNER={config.runner} does not support {refusal}: set RUNNER=auto or general")
    if config.vocabulary_size > model.vocab_size:
        raise EngineError(
            f"the tokenizer has {config.vocabulary_size} tokens, but the model's embedding only {model.vocab_size}:"
            " tokenizer.json belongs to another model"
        )
