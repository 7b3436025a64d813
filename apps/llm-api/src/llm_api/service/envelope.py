"""What all chunks of an answer have in common."""

import time
import uuid
from hashlib import sha256
from typing import Literal, TypedDict

from llm_api import __version__
from llm_api.engine.messages import EngineInfo


class Envelope(TypedDict):
    id: str
    created: int
    model: str
    system_fingerprint: str


def new_envelope(prefix: Literal["chatcmpl", "cmpl"], model: str, info: EngineInfo) -> Envelope:
    return Envelope(id=f"{prefix}-{uuid.uuid4().hex}", created=int(time.time()), model=model, system_fingerprint=_fingerprint(model, info))


def _fingerprint(model: str, info: EngineInfo) -> str:
    """Names what decides the text that a seed gives."""
    return "fp_" + sha256(f"{model}/{info.dtype}/{info.device}/{info.runner}/{__version__}".encode()).hexdigest()[:10]
