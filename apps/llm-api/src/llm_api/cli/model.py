"""The model that the settings name, got if need be."""

from llm_api.settings import Settings
from llm_api.weights.progress import Progress
from llm_api.weights.resolve import ServableModel, resolve


def find_model(settings: Settings, progress: Progress, *, refresh: bool = False) -> ServableModel:
    return resolve(
        settings.model_path,
        settings.model_uri,
        settings.model_cache,
        progress,
        allow_remote_code=settings.allow_remote_code,
        refresh=refresh,
    )
