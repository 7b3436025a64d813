"""The environment of each replica, and the process that becomes one: `python -m proxy.replica FILE INDEX`, run by the supervisor.

The environments are in a file that is read at each start, so a restart applies changed settings.
"""

import json
import os
import sys
from pathlib import Path

import psutil

from llm_api.settings import Settings
from proxy.settings import ProxySettings

MAX_CACHE = 4 * 2**30  # bytes of KV cache per replica
MEMORY_FOR_CACHES = 0.3  # share of the machine's total memory; the free memory would give another setting at each start

Environment = dict[str, str | None]
"""None unsets a variable that the supervisor may have."""


def environments(settings: ProxySettings) -> list[Environment]:
    """One for each replica: the service's settings from this process's environment, over defaults for replicas that share a machine."""
    given: Environment = {name.upper(): os.environ.get(name.upper()) for name in Settings.model_fields}
    chosen = {name: value for name, value in given.items() if value}
    return [given | _defaults(settings) | chosen | _address(settings, index) for index in range(settings.replicas)]


def write(path: Path, wanted: list[Environment]) -> bool:
    """Returns whether the file changed. Only its owner can read it: it may hold hashes of API keys."""
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
    """LAME_DUCK_SECONDS is 0: nginx retries a draining replica's 503 on another one, so a drain needs no delay."""
    cache = min(MAX_CACHE, int(psutil.virtual_memory().total * MEMORY_FOR_CACHES / settings.replicas)) >> 28 << 28  # whole 256 MiB
    return {
        "LAME_DUCK_SECONDS": "0",
        "LOG_FORMAT": "json",
        "DEVICE": "cuda" if settings.gpu else "cpu",
        "NUM_THREADS": str(settings.threads),
        "KV_CACHE_MEMORY": None if settings.gpu else str(max(cache, 2**28)),
    }


def _address(settings: ProxySettings, index: int) -> Environment:
    port, management_port = settings.port_pairs[index]
    address: Environment = {"HOST": "127.0.0.1", "PORT": str(port), "MANAGEMENT_PORT": str(management_port)}
    return address | ({"CUDA_VISIBLE_DEVICES": str(index)} if settings.gpu else {})


def main() -> None:
    file, index = Path(sys.argv[1]), int(sys.argv[2])
    environment = json.loads(file.read_text(encoding="utf-8"))[index]
    merged = {name: value for name, value in (os.environ | environment).items() if value is not None}
    merged["OMP_NUM_THREADS"] = merged["NUM_THREADS"]
    os.execve(sys.executable, [sys.executable, "-m", "llm_api", "serve"], merged)  # noqa: S606


if __name__ == "__main__":
    main()
