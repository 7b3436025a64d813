"""What an answer and each of its chunks share."""

import time
import uuid
from hashlib import sha256
from typing import Literal, TypedDict

from llm_api.service.upstream.kind import Kind


class Envelope(TypedDict):
    id: str
    created: int
    model: str
    system_fingerprint: str


def new_envelope(prefix: Literal["chatcmpl", "cmpl"], model: str, kind: Kind) -> Envelope:
    fingerprint = "fp_" + sha256(f"{model}/{kind.name}".encode()).hexdigest()[:10]
    return Envelope(id=f"{prefix}-{uuid.uuid4().hex}", created=int(time.time()), model=model, system_fingerprint=fingerprint)
