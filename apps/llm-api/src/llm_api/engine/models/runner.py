"""Chooses the implementation that computes a model: native, torch or general."""

from dataclasses import dataclass
from typing import Literal

import torch

from llm_api.engine.errors import SettingRefused
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native.bindings import Kernels, load_kernels
from llm_api.engine.models.native.decoder import unsupported_reason


@dataclass(frozen=True, slots=True)
class Runner:
    name: Literal["native", "torch", "general"]
    kernels: Kernels | None = None  # for native
    not_native: str | None = None  # why this machine has to use torch


def choose_runner(config: ModelConfig, settings: EngineConfig, block_size: int, dtype: torch.dtype, device: torch.device) -> Runner:
    """RUNNER=auto is the fastest one that supports the model on this machine. Raises SettingRefused."""
    if not config.uses_fast_path(settings.runner):
        _refuse_quantization(settings, f"RUNNER={settings.runner} runs {config.model_type} on the general runner")
        return Runner("general")
    if settings.runner == "torch":
        _refuse_quantization(settings, "RUNNER is torch")
        return Runner("torch")
    kernels = load_kernels()
    reason = unsupported_reason(config, block_size, dtype, device, kernels)
    if reason is None:
        return Runner("native", kernels)
    if settings.runner == "native":
        raise SettingRefused(f"RUNNER=native does not work on this machine: {reason}")
    _refuse_quantization(settings, f"it does not work on this machine: {reason}")
    return Runner("torch", not_native=reason)


def _refuse_quantization(settings: EngineConfig, reason: str) -> None:
    if settings.quantization != "none":
        raise SettingRefused(f"QUANTIZATION={settings.quantization} requires the native runner, but {reason}: set QUANTIZATION=none")
