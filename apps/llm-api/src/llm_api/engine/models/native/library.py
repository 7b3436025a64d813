"""Finds and loads the library that the wheel brings where it was built with a C++ compiler."""

from ctypes import CDLL, POINTER, c_char_p
from importlib.metadata import PackageNotFoundError, files

import torch  # noqa: F401  the library shares torch's OpenMP threads, which must be there first

from llm_api.engine.models.native.interface import Kernels

NAME = "libllm_step.so"


def load_kernels(instructions: str | None = None) -> Kernels | None:
    """The kernels for an instruction set, or the best that this CPU has. None without a library, or without such a CPU."""
    path = _path()
    if path is None:
        return None
    kernels_for = CDLL(path).llm_kernels_for
    kernels_for.argtypes, kernels_for.restype = [c_char_p], POINTER(Kernels)
    found = kernels_for(instructions.encode() if instructions else None)
    return found.contents if found else None


def _path() -> str | None:
    try:
        listed = files("llm-api") or []
    except PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in listed if file.name == NAME), None)
