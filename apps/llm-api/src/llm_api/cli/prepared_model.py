"""A model that may be loaded: found, its tokenizer and chat template read, its files compared with the settings."""

from dataclasses import dataclass

from llm_api.chat.end_of_turn import end_texts
from llm_api.chat.template import ChatTemplate
from llm_api.chat.template_files import UnusableTemplate
from llm_api.cli.model import find_model
from llm_api.engine.messages import EngineConfig
from llm_api.engine.preflight import preflight
from llm_api.settings import Settings
from llm_api.tokenization.tokenizer import Tokenizer
from llm_api.weights.progress import Progress
from llm_api.weights.resolve import ServableModel


@dataclass(frozen=True, slots=True)
class PreparedModel:
    name: str  # what clients send
    model: ServableModel
    tokenizer: Tokenizer
    template: ChatTemplate
    engine: EngineConfig


def prepare(settings: Settings, progress: Progress) -> PreparedModel:
    """Takes a fraction of a second, unless the model must be downloaded or converted first. Raises Refusal."""
    model = find_model(settings, progress)
    tokenizer, template = Tokenizer(model.path), _template(model)
    engine = _engine_config(settings, model, tokenizer, template)
    preflight(engine)
    return PreparedModel(settings.model_name or model.name, model, tokenizer, template, engine)


def _template(model: ServableModel) -> ChatTemplate:
    try:
        return ChatTemplate(model.path)
    except UnusableTemplate as error:
        raise UnusableTemplate(f"{model.path}: {error}") from error


def _engine_config(settings: Settings, model: ServableModel, tokenizer: Tokenizer, template: ChatTemplate) -> EngineConfig:
    return EngineConfig(
        model_path=str(model.path),
        device=settings.device,
        dtype=settings.dtype,
        runner=settings.runner,
        quantization=settings.quantization,
        max_num_seqs=settings.max_num_seqs,
        max_num_batched_tokens=settings.max_num_batched_tokens,
        step_time_target=settings.step_time_target,
        max_model_len=settings.max_model_len,
        kv_cache_memory=settings.kv_cache_memory and int(settings.kv_cache_memory),
        block_size=settings.block_size,
        enable_prefix_caching=settings.enable_prefix_caching,
        num_threads=settings.num_threads,
        allow_remote_code=model.remote_code,
        vocabulary_size=tokenizer.size,
        end_token_ids=_end_token_ids(tokenizer, template),
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


def _end_token_ids(tokenizer: Tokenizer, template: ChatTemplate) -> tuple[int, ...]:
    texts = end_texts(template, tokenizer.special_tokens, tokenizer.added_tokens)
    return tuple(sorted(token_id for text in texts if (token_id := tokenizer.token_id(text)) is not None))
