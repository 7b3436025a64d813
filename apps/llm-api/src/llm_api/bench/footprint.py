"""What our service takes before and while it serves: seconds until it is ready, and memory."""

from dataclasses import dataclass

import psutil

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Footprint:
    settings: dict[str, str]  # made in the environment
    ready_seconds: float  # from its start, with the model on the disk
    memory: int  # bytes of all its processes after the load; pages that they share count once

    def __str__(self) -> str:
        made = ", ".join(f"`{name}={value}`" for name, value in self.settings.items()) or "its default settings"
        memory = f"{self.memory / MEBIBYTE:.0f} MiB"
        return f"llm-api, with {made}, was ready after {self.ready_seconds:.1f} s and held {memory} after the load."


def memory_of(pid: int) -> int:
    """Bytes of a process and its children: what would be free without them, and a share of what they share with others."""
    process = psutil.Process(pid)
    return sum(_held(member) for member in [process, *process.children(recursive=True)])


def _held(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(full, "pss", full.uss))
