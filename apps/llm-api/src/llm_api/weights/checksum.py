"""sha256 of files, as they are read or long after."""

import hashlib
from pathlib import Path

from llm_api.weights.errors import WrongChecksum


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, name: str) -> None:
    """Raises WrongChecksum and removes the file when it is not what was promised."""
    actual = sha256_of(path)
    if actual != expected:
        path.unlink()
        raise WrongChecksum(name, expected, actual)
