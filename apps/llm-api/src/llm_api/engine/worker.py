"""The engine process: loads the model, then steps until its parent is done with it."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import BinaryIO

import msgspec
import structlog

from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.kv_cache.storage import KVCache
from llm_api.engine.loop import EngineLoop
from llm_api.engine.machine import available_memory, return_free_memory
from llm_api.engine.messages import EngineConfig, EngineInfo, EngineState, FromEngine, ToEngine
from llm_api.engine.warm_up import warm_up
from llm_api.engine.wire import LENGTH, frame
from llm_api.telemetry.logs import configure_logs

log = structlog.get_logger()

LOWEST_PRIORITY = 19


def run(fd: int) -> int:
    """Serves the parent at the other end of the socket `fd`. Returns the exit status."""
    connection = socket.socket(fileno=fd)
    stream = connection.makefile("rb")
    try:
        config = msgspec.msgpack.decode(_read(stream), type=EngineConfig)
    except EOFError:  # the parent found that there is nothing to serve
        return 0
    configure_logs(config.log_level, config.log_format)
    inbox: SimpleQueue[ToEngine] = SimpleQueue()
    threading.Thread(target=_receive, args=(stream, inbox), daemon=True).start()

    def send(message: FromEngine) -> None:
        connection.sendall(frame(message))

    try:
        loop = _load(config, inbox, send)
    except (EngineError, MemoryError) as error:
        send(EngineState(phase="failed", error=str(error) or "out of memory"))
        return 1
    except Exception as error:
        log.exception("the engine could not load")
        send(EngineState(phase="failed", error=f"unexpected {type(error).__name__}: {error}"))
        return 1
    loop.run()
    return 0


def _load(config: EngineConfig, inbox: SimpleQueue[ToEngine], send: Callable[[FromEngine], None]) -> EngineLoop:
    started = time.perf_counter()
    send(EngineState(phase="loading"))
    executor = Executor(config)
    send(EngineState(phase="warming"))
    warm_up(executor)
    return_free_memory()
    threading.Thread(target=_populate, args=(executor.cache,), daemon=True).start()
    send(EngineState(phase="ready", info=_info(executor, time.perf_counter() - started)))
    return EngineLoop(executor, inbox, send, config.enable_prefix_caching)


def _populate(cache: KVCache) -> None:
    """In what time the cores have left: a request need not wait for it."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        cache.populate(available_memory)


def _info(executor: Executor, seconds: float) -> EngineInfo:
    return EngineInfo(
        max_model_len=executor.max_model_len,
        max_num_seqs=executor.max_num_seqs,
        vocab_size=executor.model_config.vocab_size,
        device=str(executor.device),
        dtype=str(executor.dtype).removeprefix("torch."),
        runner=executor.model.name,
        kv_cache_tokens=executor.cache.num_blocks * executor.cache.block_size,
        load_seconds=round(seconds, 2),
    )


def _receive(stream: BinaryIO, inbox: SimpleQueue[ToEngine]) -> None:
    decoder = msgspec.msgpack.Decoder(ToEngine)
    while True:
        try:
            body = _read(stream)
        except (EOFError, OSError):
            # The parent is gone. Even a step that never ends must not outlive it.
            os._exit(1)
        inbox.put(decoder.decode(body))


def _read(stream: BinaryIO) -> bytes:
    header = stream.read(LENGTH)
    body = stream.read(int.from_bytes(header, "big"))
    if len(header) < LENGTH or len(body) < int.from_bytes(header, "big"):
        raise EOFError
    return body
