"""The environment of each replica: the service's own settings as they are now, and what several on one machine need."""

import json
import os
from pathlib import Path

import psutil

from llm_api.settings import Settings
from proxy.settings import ProxySettings

CACHE_AT_MOST = 4 * 2**30  # bytes
SHARE_FOR_CACHES = 0.3  # of the machine's memory; not of what is free, which would be another setting each time

Environment = dict[str, str | None]
"""None: not set, though the supervisor may have it."""


def environments(settings: ProxySettings) -> list[Environment]:
    given: Environment = {name.upper(): os.environ.get(name.upper()) for name in Settings.model_fields}
    chosen = {name: value for name, value in given.items() if value}
    return [given | _defaults(settings) | chosen | _place(settings, number) for number in range(settings.replicas)]


def write(path: Path, wanted: list[Environment]) -> bool:
    """Whether it changed. For its owner alone: it may hold keys' hashes."""
    text = json.dumps(wanted, indent=1, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
    return True


def _defaults(settings: ProxySettings) -> Environment:
    """No lame duck: nothing has to learn of a shutdown, as nginx takes a draining replica's 503 to another one."""
    cache = min(CACHE_AT_MOST, int(psutil.virtual_memory().total * SHARE_FOR_CACHES / settings.replicas)) >> 28 << 28  # whole 256 MiB
    return {
        "LAME_DUCK_SECONDS": "0",
        "LOG_FORMAT": "json",
        "DEVICE": "cuda" if settings.gpu else "cpu",
        "NUM_THREADS": str(settings.threads),
        "KV_CACHE_MEMORY": None if settings.gpu else str(max(cache, 2**28)),
    }


def _place(settings: ProxySettings, number: int) -> Environment:
    port, management_port = settings.port_pairs[number]
    place: Environment = {"HOST": "127.0.0.1", "PORT": str(port), "MANAGEMENT_PORT": str(management_port)}
    return place | ({"CUDA_VISIBLE_DEVICES": str(number)} if settings.gpu else {})
