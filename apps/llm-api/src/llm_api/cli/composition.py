"""Composition root: builds the engine's configuration and the service from the settings. `app.py` builds the HTTP API around them."""

import os

from llm_api.chat.template import ChatTemplate
from llm_api.chat.template_files import UnusableTemplate
from llm_api.cli.errors import CommandError
from llm_api.engine.client import EngineClient
from llm_api.engine.messages import EngineConfig
from llm_api.service.engine_service import EngineService, EngineServiceConfig
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer
from llm_api.weights.resolve import ServableModel


def engine_config(settings: Settings, model: ServableModel) -> EngineConfig:
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
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


def engine_service(settings: Settings, model: ServableModel, engine: EngineClient, metrics: Metrics) -> EngineService:
    config = EngineServiceConfig(
        model_name=settings.model_name or model.name,
        engine_load_timeout=settings.engine_load_timeout,
        engine_stall_timeout=settings.engine_stall_timeout,
        request_fields=settings.request_fields,
    )
    return EngineService(config, Tokenizer(model.path), _template(model), engine, metrics)


def _template(model: ServableModel) -> ChatTemplate:
    try:
        return ChatTemplate(model.path)
    except UnusableTemplate as error:
        raise CommandError(f"{model.path}: {error}", exit_code=os.EX_DATAERR) from error
