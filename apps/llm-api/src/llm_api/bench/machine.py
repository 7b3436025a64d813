"""The machine and the software of a measurement."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

QUIET = 10  # percent of CPU that an idle machine may use
PACKAGES = ("llm-api", "torch", "transformers")


def describe_machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    cores = len(psutil.Process().cpu_affinity())
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB memory, {platform.system()} {platform.release()}"


def cpu_busy(attempts: int = 30) -> float:
    """Percent of all cores in use during one second. Repeats while the machine is busy, because a server may still be warming up."""
    busy = 100.0
    for _ in range(attempts):
        busy = psutil.cpu_percent(1)
        if busy <= QUIET:
            break
    return busy


def describe_software() -> str:
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {_version(name)}" for name in PACKAGES)])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
