"""The files of a model in a remote source at one revision, and the selection of those needed to serve it."""

from dataclasses import dataclass
from fnmatch import fnmatch

from llm_api.weights.errors import UnsupportedModel, WeightsError
from llm_api.weights.folder import SLOW_TOKENIZERS, no_safe_weights

_IN_FOLDERS = ("additional_chat_templates/*.jinja", "*_Pooling/config.json")
_BESIDE_WEIGHTS = ("*.json", "*.jinja", "merges.txt", "vocab.txt", *SLOW_TOKENIZERS)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    name: str
    size: int
    sha256: str | None  # None: the source states none


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`revision` changes as soon as any file does."""

    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def gguf(self) -> str | None:
        return next((file.name for file in self.files if file.name.lower().endswith(".gguf")), None)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def sha256(self) -> dict[str, str]:
        return {file.name: file.sha256 for file in self.files if file.sha256}


def needed_files(source: str, files: list[RemoteFile], with_code: bool) -> list[RemoteFile]:
    """The files needed to serve the model. Raises WeightsError, before any download, when there are no safetensors."""
    # Other folders hold other formats of the same model.
    files = [file for file in files if "/" not in file.name or any(fnmatch(file.name, pattern) for pattern in _IN_FOLDERS)]
    names = {file.name for file in files}
    weights = {name for name in names if name.endswith(".safetensors")}
    if not weights:
        raise _only_ggufs(source, names) or no_safe_weights(source, names)
    # Some repositories ship the same weights twice: model-*.safetensors for transformers, consolidated.* for others.
    weights = {name for name in weights if name.startswith("model")} or weights
    patterns = _BESIDE_WEIGHTS + _IN_FOLDERS + (("*.py",) if with_code else ())
    return [file for file in files if file.name in weights or any(fnmatch(file.name, pattern) for pattern in patterns)]


def _only_ggufs(source: str, names: set[str]) -> WeightsError | None:
    ggufs = sorted(name for name in names if name.endswith(".gguf"))
    return UnsupportedModel(f"{source} has only GGUF files. Name one: {source}/{ggufs[0]} (of {', '.join(ggufs[:6])}).") if ggufs else None
