"""Runs in the engine process: loads the model, warms it up, then runs the engine loop until the API process stops it."""

import os
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from llm_api.engine.api_socket import ApiSocket
from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.kv_cache.storage import KVCache
from llm_api.engine.loop import EngineLoop, GrammarReady
from llm_api.engine.machine import available_memory
from llm_api.engine.memory import return_free_memory
from llm_api.engine.messages import (
    AddRequest,
    EngineConfig,
    EngineInfo,
    EngineState,
    FromEngine,
    SamplingParams,
    StepOutput,
    ToEngine,
)
from llm_api.refusal import EX_CONFIG
from llm_api.telemetry.logs import configure_logs

log = structlog.get_logger()

LOWEST_PRIORITY = 19  # nice value


def run(fd: int) -> int:
    """Serves the API process over the socket `fd`. Returns the exit status."""
    api = ApiSocket(fd)
    try:
        config = api.config(EngineConfig)
    except EOFError:
        return 0
    configure_logs(config.log_level, config.log_format)
    inbox: SimpleQueue[ToEngine | GrammarReady] = SimpleQueue()
    api.receive_into(inbox, ToEngine)
    try:
        loop = _load(config, inbox, api.send)
    except EngineError as error:
        api.send(EngineState(phase="failed", error=str(error), exit_code=error.exit_code))
        return 1
    except MemoryError as error:
        api.send(EngineState(phase="failed", error=str(error) or "out of memory: raise the memory limit", exit_code=EX_CONFIG))
        return 1
    except Exception as error:
        log.exception("the engine could not load")
        api.send(EngineState(phase="failed", error=f"unexpected {type(error).__name__}: {error}"))
        return 1
    loop.run()
    return 0


def warm_up(executor: Executor) -> None:
    """Runs a full prefill step, then decode steps at the smallest and the largest batch size, before the first request.

    These steps size buffers and compile kernels that are compiled on first use. Raises EngineError if they fail.
    """
    for num_seqs in (1, executor.max_num_seqs):
        loop = EngineLoop(executor, SimpleQueue(), lambda _message: None, prefix_caching=False)
        prompt = [0] * min(executor.max_num_batched_tokens // num_seqs, executor.max_model_len - 4)
        for number in range(num_seqs):
            sampling = SamplingParams(max_tokens=3, temperature=0, ignore_eos=True)
            loop.scheduler.add(AddRequest(request_id=str(number), prompt_token_ids=prompt, sampling=sampling))
        while loop.scheduler.has_work:
            _raise_on_failure(loop.step())


def _raise_on_failure(step: StepOutput) -> None:
    for output in step.outputs:
        if output.error is not None:
            raise EngineError(f"the model fails in a test step: {output.error} See the log for details.")


def _load(config: EngineConfig, inbox: SimpleQueue[ToEngine | GrammarReady], send: Callable[[FromEngine], None]) -> EngineLoop:
    started = time.perf_counter()
    send(EngineState(phase="loading"))
    executor = Executor(config)
    if not executor.end_token_ids:
        log.warning("no token ends a text: every answer is as long as max_tokens")
    send(EngineState(phase="warming"))
    warm_up(executor)
    return_free_memory()
    threading.Thread(target=_populate, args=(executor.cache,), daemon=True).start()
    send(EngineState(phase="ready", info=_info(executor, config.quantization, time.perf_counter() - started)))
    return EngineLoop(executor, inbox, send, config.enable_prefix_caching)


def _populate(cache: KVCache) -> None:
    """Populates the KV cache's memory at the lowest priority, so that requests do not wait for it."""
    if sys.platform == "linux":  # only Linux has a priority per thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        cache.populate(available_memory)


def _info(executor: Executor, quantization: str, seconds: float) -> EngineInfo:
    return EngineInfo(
        max_model_len=executor.max_model_len,
        max_num_seqs=executor.max_num_seqs,
        vocab_size=executor.model_config.vocab_size,
        device=str(executor.device),
        dtype=str(executor.dtype).removeprefix("torch."),
        runner=executor.model.name,
        quantization=quantization,
        kv_cache_tokens=executor.cache.num_blocks * executor.cache.block_size,
        load_seconds=round(seconds, 2),
    )
