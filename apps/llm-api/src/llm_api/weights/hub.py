"""hf://: a repository of the Hugging Face hub, or one GGUF of it. Resumed by huggingface_hub, checked against the hub's own hashes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from llm_api.weights.disk import require_space
from llm_api.weights.errors import ModelNotFound, NotAuthorised, SourceUnreachable, UnsupportedModel, WeightsError
from llm_api.weights.folder import SLOW_TOKENIZERS, no_safe_weights
from llm_api.weights.progress import Progress, Report
from llm_api.weights.uri import HubModel

_BESIDE_WEIGHTS = ("*.json", "*.jinja", "merges.txt", "vocab.txt", *SLOW_TOKENIZERS)


@dataclass(frozen=True, slots=True)
class HubFile:
    name: str
    size: int
    sha256: str | None  # None: small files kept in git


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit, and which of its files are wanted."""

    commit: str
    files: tuple[HubFile, ...]

    @property
    def gguf(self) -> str | None:
        return next((file.name for file in self.files if file.name.lower().endswith(".gguf")), None)


def look_up(model: HubModel, with_code: bool) -> Snapshot:
    from huggingface_hub import HfApi  # takes a while to import
    from huggingface_hub.hf_api import RepoFile

    with hub_errors(model):
        commit = HfApi().repo_info(model.repo, revision=model.revision).sha or model.revision
        tree = HfApi().list_repo_tree(model.repo, revision=commit, recursive=model.file is not None)
        files = [HubFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None) for entry in tree if isinstance(entry, RepoFile)]
    return Snapshot(commit, tuple(_wanted(model, files, with_code)))


def fetch_hub(model: HubModel, snapshot: Snapshot, folder: Path, progress: Progress) -> None:
    """Leaves the files in `folder`. What an earlier run left there is used."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    total, there = sum(file.size for file in snapshot.files), _size(folder)
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, max(0, total - there), f"to download {model}")
    disable_progress_bars()
    names = [file.name for file in snapshot.files]
    with hub_errors(model), progress.transfer(f"downloading {model}", total) as report, _watched(folder, total, report):
        snapshot_download(model.repo, revision=snapshot.commit, local_dir=folder, allow_patterns=names)


def _wanted(model: HubModel, files: list[HubFile], with_code: bool) -> list[HubFile]:
    if model.file is not None:
        return _named(model, files)
    files = [file for file in files if "/" not in file.name]  # folders hold other formats of the same model
    names = {file.name for file in files}
    weights = {name for name in names if name.endswith(".safetensors")}
    if not weights:
        raise _only_ggufs(model, names) or no_safe_weights(str(model), names)
    # Some repositories ship the same weights twice: model-*.safetensors for transformers, consolidated.* for others.
    weights = {name for name in weights if name.startswith("model")} or weights
    patterns = _BESIDE_WEIGHTS + (("*.py",) if with_code else ())
    return [file for file in files if file.name in weights or any(fnmatch(file.name, pattern) for pattern in patterns)]


def _named(model: HubModel, files: list[HubFile]) -> list[HubFile]:
    found = [file for file in files if file.name == model.file]
    if not found:
        others = ", ".join(file.name for file in files if file.name.endswith(".gguf")) or "no GGUF"
        raise ModelNotFound(f"{model.repo} has no {model.file} at {model.revision}; it has {others}.")
    return found


def _only_ggufs(model: HubModel, names: set[str]) -> WeightsError | None:
    ggufs = sorted(name for name in names if name.endswith(".gguf"))
    return UnsupportedModel(f"{model} has GGUFs alone. Name one: {model}/{ggufs[0]} (of {', '.join(ggufs[:6])}).") if ggufs else None


@contextmanager
def _watched(folder: Path, total: int, report: Report) -> Iterator[None]:
    """Reports by what is on disk: true for every way in which the library may transfer."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            report(min(_size(folder), total), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def hub_errors(model: HubModel) -> Iterator[None]:
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise NotAuthorised(f"{model.repo} is gated: accept its terms on its page, and set HF_TOKEN to a token of that account.") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFound(f"{model.repo} is not on the hub, or it is private and HF_TOKEN does not give access to it.") from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFound(f"{model.repo} has no revision {model.revision!r}.") from error
    except errors.OfflineModeIsEnabled as error:
        raise SourceUnreachable(f"{model} is not in MODEL_CACHE, and HF_HUB_OFFLINE forbids getting it.") from error
    except errors.HfHubHTTPError as error:
        raise _refused(model, error.response.status_code) from error
    except (errors.LocalEntryNotFoundError, httpx2.HTTPError, ConnectionError) as error:
        reason = str(error.__cause__ or error).rstrip(".")
        raise SourceUnreachable(f"cannot reach the hub for {model}: {reason}. What came is kept; try again to go on.") from error


def _refused(model: HubModel, status: int) -> WeightsError:
    if status in (401, 403):
        return NotAuthorised(f"the hub refuses {model.repo} (HTTP {status}). Set HF_TOKEN to a token that may read it.")
    return SourceUnreachable(f"the hub answers HTTP {status} for {model}. Try again later.")
