"""s3://: a folder of a bucket, or one GGUF in it, on AWS or any S3 server (AWS_ENDPOINT_URL).

boto3 finds the credentials: environment, profile, web identity, the node's role. Without credentials the bucket must be public.
Complete files are not downloaded again. A file whose object carries a SHA-256 is checked against it.
"""

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_api.weights.disk import disk_errors, require_space
from llm_api.weights.errors import NotAuthorised, SourceUnreachable, WeightsError, WeightsNotFound
from llm_api.weights.progress import Progress, TransferReport
from llm_api.weights.sources.snapshot import RemoteFile, Snapshot, needed_files
from llm_api.weights.uri import S3Model

_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401", "403")
_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role, with permission to list and read it."


def look_up_s3(model: S3Model, with_code: bool) -> Snapshot:
    """The needed objects; the revision is a hash of their names, sizes and ETags. Raises WeightsError."""
    with _s3_errors(model):
        client = _client()
        objects = _objects(client, model)
        files = [RemoteFile(name, entry["Size"], None) for name, entry in objects.items()]
        kept = [file for file in files if file.name == model.file] if model.file else needed_files(str(model), files, with_code)
        known = tuple(RemoteFile(file.name, file.size, _stated_sha256(client, model, file.name)) for file in kept)
    state = "\n".join(f"{file.name} {file.size} {objects[file.name]['ETag']}" for file in known)
    return Snapshot(hashlib.sha256(state.encode()).hexdigest()[:40], known)


def fetch_s3(model: S3Model, snapshot: Snapshot, folder: Path, progress: Progress) -> None:
    """Writes the snapshot's files to `folder`, unique to this snapshot. Keeps complete files of an earlier run. Raises WeightsError."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        missing = [file for file in snapshot.files if not _is_complete(folder / file.name, file)]
        left = sum(file.size for file in missing)
        require_space(folder, left, f"to download {model}")
        with _s3_errors(model), progress.transfer(f"downloading {model}", snapshot.size) as report:
            counter = _Counter(report, snapshot.size - left, snapshot.size)
            client = _client()
            for file in missing:  # boto3 uses a temporary name and parallel parts, and retries
                (folder / file.name).parent.mkdir(exist_ok=True)
                client.download_file(model.bucket, model.key(file.name), str(folder / file.name), Callback=counter)


class _Counter:
    """boto3 calls it from several threads, with the bytes transferred since its last call."""

    def __init__(self, report: TransferReport, done: int, total: int) -> None:
        self._report, self._done, self._total = report, done, total
        self._lock = threading.Lock()

    def __call__(self, transferred: int) -> None:
        with self._lock:
            self._done += transferred
            self._report(self._done, self._total)


def _client() -> Any:
    import boto3  # slow to import
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    retries = {"mode": "standard", "total_max_attempts": 5}
    config = Config(retries=retries, connect_timeout=15, signature_version=None if session.get_credentials() else UNSIGNED)
    return session.client("s3", config=config)


def _objects(client: Any, model: S3Model) -> dict[str, Any]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=model.bucket, Prefix=model.key(model.file or ""))
    found = {entry["Key"].removeprefix(model.key("")): entry for page in pages for entry in page.get("Contents", [])}
    objects = {name: entry for name, entry in found.items() if name and not name.endswith("/")}
    if not objects or (model.file and model.file not in objects):
        raise WeightsNotFound(f"{model} does not exist: the bucket {model.bucket} has no object there.")
    return objects


def _stated_sha256(client: Any, model: S3Model, name: str) -> str | None:
    head = client.head_object(Bucket=model.bucket, Key=model.key(name), ChecksumMode="ENABLED")
    checksum: str | None = head.get("ChecksumSHA256")
    # A checksum of the parts' checksums cannot verify the whole file.
    of_object = checksum and "-" not in checksum and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return base64.b64decode(checksum).hex() if checksum and of_object else None


def _is_complete(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


@contextmanager
def _s3_errors(model: S3Model) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, TokenRetrievalError

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, TokenRetrievalError) as error:
        raise NotAuthorised(f"no credentials for {model}: {error}. {_CREDENTIALS}") from error
    except ClientError as error:
        raise _answered(model, error.response.get("Error", {})) from error
    except BotoCoreError as error:  # connections, timeouts, endpoints
        raise SourceUnreachable(f"cannot reach S3 for {model}: {error}. Complete files are kept; try again to resume.") from error


def _answered(model: S3Model, error: dict[str, str]) -> WeightsError:
    code, message = error.get("Code", "?"), error.get("Message", "")
    if code in _REFUSED:
        return NotAuthorised(f"S3 refuses access to {model} ({code}). {_CREDENTIALS}")
    if code == "NoSuchBucket":
        return WeightsNotFound(f"{model}: the bucket {model.bucket} does not exist.")
    if code in ("NoSuchKey", "404"):
        return WeightsNotFound(f"{model} changed or was deleted during the download. Try again.")
    return SourceUnreachable(f"S3 answers {code} for {model}: {message}")
