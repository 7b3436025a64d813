"""ctypes bindings of the C++ library: the structs of llm_step.h, and how the library is found and loaded.

The wheel contains the library if it was built with a C++ compiler.
"""

from ctypes import CDLL, CFUNCTYPE, POINTER, Structure, c_char_p, c_float, c_int64, c_void_p
from importlib.metadata import PackageNotFoundError, files

import torch  # noqa: F401  loads torch's OpenMP runtime first, which the library shares

LIBRARY = "libllm_step.so"


class LinearStruct(Structure):
    _fields_ = [
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("in_features", c_int64),
        ("out_features", c_int64),
        ("format", c_int64),
        ("bytes", c_int64),
    ]


class NormStruct(Structure):
    _fields_ = [
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("size", c_int64),
    ]


class MlpStruct(Structure):
    _fields_ = [
        ("up", LinearStruct),
        ("down", LinearStruct),
    ]


class Layer(Structure):
    _fields_ = [
        ("attention_norm", NormStruct),
        ("attention_output_norm", NormStruct),
        ("qkv", LinearStruct),
        ("query_norm", NormStruct),
        ("key_norm", NormStruct),
        ("output", LinearStruct),
        ("cos", c_void_p),
        ("sin", c_void_p),
        ("sinks", c_void_p),
        ("mlp_norm", NormStruct),
        ("mlp_output_norm", NormStruct),
        ("mlps", POINTER(MlpStruct)),
        ("router", LinearStruct),
        ("experts", c_int64),
        ("top_k", c_int64),
        ("cache", c_void_p),
        ("scale", c_float),
        ("window", c_int64),
    ]


class ModelStruct(Structure):
    _fields_ = [
        ("dtype", c_int64),
        ("num_layers", c_int64),
        ("hidden", c_int64),
        ("heads", c_int64),
        ("kv_heads", c_int64),
        ("head_dim", c_int64),
        ("vocabulary", c_int64),
        ("positions", c_int64),
        ("blocks", c_int64),
        ("block_size", c_int64),
        ("activation", c_int64),
        ("is_gated", c_int64),
        ("normalizes_experts", c_int64),
        ("eps", c_float),
        ("embedding_scale", c_float),
        ("residual_scale", c_float),
        ("attention_softcap", c_float),
        ("logits_softcap", c_float),
        ("swiglu_alpha", c_float),
        ("swiglu_limit", c_float),
        ("embedding", c_void_p),
        ("layers", POINTER(Layer)),
        ("norm", NormStruct),
        ("head", LinearStruct),
    ]


class BatchStruct(Structure):
    _fields_ = [
        ("rows", c_int64),
        ("sequences", c_int64),
        ("outputs", c_int64),
        ("token_ids", c_void_p),
        ("positions", c_void_p),
        ("slots", c_void_p),
        ("row_starts", c_void_p),
        ("block_tables", c_void_p),
        ("table_starts", c_void_p),
        ("logits_rows", c_void_p),
        ("logits", c_void_p),
    ]


class Kernels(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("packed_bytes", CFUNCTYPE(c_int64, c_int64, c_int64, c_int64)),
        ("pack", CFUNCTYPE(None, c_int64, c_void_p, c_int64, c_int64, c_void_p)),
        ("packed_groups_bytes", CFUNCTYPE(c_int64, c_int64, c_int64, c_int64)),
        ("pack_groups", CFUNCTYPE(None, c_int64, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p)),
        ("matmul", CFUNCTYPE(None, c_int64, POINTER(LinearStruct), c_void_p, c_int64, c_void_p)),
        ("check", CFUNCTYPE(c_char_p, POINTER(ModelStruct))),
        ("workspace_bytes", CFUNCTYPE(c_int64, POINTER(ModelStruct), c_int64, c_int64)),
        ("step", CFUNCTYPE(c_char_p, POINTER(ModelStruct), POINTER(BatchStruct), c_void_p, c_int64)),
    ]


def load_kernels(instructions: str | None = None) -> Kernels | None:
    """The kernels for an instruction set, by default the best one of this CPU. None if there is no library or no such CPU feature."""
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
    return next((str(file.locate()) for file in listed if file.name == LIBRARY), None)
