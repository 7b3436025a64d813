"""The embedding model of the settings: found, its tokenizer and files read."""

from dataclasses import dataclass
from pathlib import Path

from llm_api.embedding.files import read_files
from llm_api.embedding.messages import EmbeddingConfig
from llm_api.engine.machine import available_cores
from llm_api.refusal import EX_CONFIG, Refusal
from llm_api.settings import Settings
from llm_api.tokenization.tokenizer import Tokenizer
from llm_api.weights.progress import Progress
from llm_api.weights.resolve import resolve

CORES_A_THREAD = 4  # the engine needs the others


@dataclass(frozen=True, slots=True)
class PreparedEmbedding:
    name: str  # what clients send
    path: Path
    tokenizer: Tokenizer
    config: EmbeddingConfig


def check_aliases(settings: Settings, models: list[str]) -> None:
    """Raises Refusal for an alias of a model that is not served."""
    for alias in settings.model_aliases:
        name, _, target = alias.partition("=")
        if target and target not in models:
            raise Refusal(f"MODEL_ALIASES: {name} is for {target}, which is not served; served is {', '.join(models)}", EX_CONFIG)


def prepare_embedding(settings: Settings, progress: Progress, *, refresh: bool = False) -> PreparedEmbedding | None:
    """None without EMBEDDING_MODEL_URI. Downloads the model if the cache does not have it. Raises Refusal."""
    if settings.embedding_model_uri is None:
        return None
    model = resolve(None, settings.embedding_model_uri, settings.model_cache, progress, refresh=refresh, generates=False)
    read_files(model.path)
    config = EmbeddingConfig(
        model_path=str(model.path),
        max_batched_tokens=settings.embedding_max_batched_tokens,
        num_threads=settings.embedding_num_threads or max(available_cores() // CORES_A_THREAD, 1),
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
    return PreparedEmbedding(settings.embedding_model_name or model.name, model.path, Tokenizer(model.path), config)
