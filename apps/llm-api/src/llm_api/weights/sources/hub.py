"""hf://: a repository of the Hugging Face hub, or one GGUF in it. huggingface_hub resumes downloads; the hub's own hashes verify them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_api.weights.disk import require_space
from llm_api.weights.errors import NotAuthorised, SourceUnreachable, WeightsError, WeightsNotFound
from llm_api.weights.progress import Progress, TransferReport
from llm_api.weights.sources.snapshot import RemoteFile, Snapshot, needed_files
from llm_api.weights.uri import HubModel


def look_up_hub(model: HubModel, with_code: bool) -> Snapshot:
    """The needed files at the newest commit of the revision. Raises WeightsError."""
    from huggingface_hub import HfApi  # slow to import
    from huggingface_hub.hf_api import RepoFile

    with hub_errors(model):
        commit = HfApi().repo_info(model.repo, revision=model.revision).sha or model.revision
        tree = HfApi().list_repo_tree(model.repo, revision=commit, recursive=True)
        files = [
            RemoteFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None) for entry in tree if isinstance(entry, RepoFile)
        ]
    return Snapshot(commit, tuple(_named(model, files) if model.file else needed_files(str(model), files, with_code)))


def fetch_hub(model: HubModel, snapshot: Snapshot, folder: Path, progress: Progress) -> None:
    """Writes the snapshot's files to `folder`, and resumes what an earlier run left there. Raises WeightsError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    total, present = snapshot.size, _size(folder)
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, max(0, total - present), f"to download {model}")
    disable_progress_bars()
    names = [file.name for file in snapshot.files]
    with hub_errors(model), progress.transfer(f"downloading {model}", total) as report, _watched(folder, total, report):
        snapshot_download(model.repo, revision=snapshot.revision, local_dir=folder, allow_patterns=names)


def _named(model: HubModel, files: list[RemoteFile]) -> list[RemoteFile]:
    found = [file for file in files if file.name == model.file]
    if not found:
        others = ", ".join(file.name for file in files if file.name.endswith(".gguf")) or "no GGUF"
        raise WeightsNotFound(f"{model.repo} has no {model.file} at {model.revision}; it has {others}.")
    return found


@contextmanager
def _watched(folder: Path, total: int, report: TransferReport) -> Iterator[None]:
    """Reports the bytes on disk, which holds for every transfer method of the library."""
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
        raise WeightsNotFound(f"{model.repo} is not on the hub, or it is private and HF_TOKEN does not give access to it.") from error
    except errors.RevisionNotFoundError as error:
        raise WeightsNotFound(f"{model.repo} has no revision {model.revision!r}.") from error
    except errors.OfflineModeIsEnabled as error:
        raise SourceUnreachable(f"{model} is not in MODEL_CACHE, and HF_HUB_OFFLINE forbids downloading it.") from error
    except errors.HfHubHTTPError as error:
        raise _refused(model, error.response.status_code) from error
    except (errors.LocalEntryNotFoundError, httpx2.HTTPError, ConnectionError) as error:
        reason = str(error.__cause__ or error).rstrip(".")
        raise SourceUnreachable(f"cannot reach the hub for {model}: {reason}. The downloaded part is kept; try again to resume.") from error


def _refused(model: HubModel, status: int) -> WeightsError:
    if status in (401, 403):
        return NotAuthorised(f"the hub refuses access to {model.repo} (HTTP {status}). Set HF_TOKEN to a token that may read it.")
    return SourceUnreachable(f"the hub answers HTTP {status} for {model}. Try again later.")
