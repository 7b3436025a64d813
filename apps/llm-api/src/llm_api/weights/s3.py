"""s3://: a folder of a bucket, or one GGUF of it, on AWS or any S3 server (AWS_ENDPOINT_URL).

Credentials are found as boto3 finds them: environment, profile, web identity, the node's role. Without any the bucket must be public.
A file that came whole is not fetched again; one whose object carries a SHA-256 is checked against it.
"""

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_api.weights.disk import disk_errors, require_space
from llm_api.weights.errors import ModelNotFound, NotAuthorised, SourceUnreachable, WeightsError
from llm_api.weights.progress import Progress, Report
from llm_api.weights.snapshot import RemoteFile, Snapshot, wanted
from llm_api.weights.uri import S3Model

_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401", "403")
_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role, that may list and read it."


def look_up_s3(model: S3Model, with_code: bool) -> Snapshot:
    with _s3_errors(model):
        client = _client()
        objects = _objects(client, model)
        files = [RemoteFile(name, entry["Size"], None) for name, entry in objects.items()]
        kept = [file for file in files if file.name == model.file] if model.file else wanted(str(model), files, with_code)
        known = tuple(RemoteFile(file.name, file.size, _stated_sha256(client, model, file.name)) for file in kept)
    state = "\n".join(f"{file.name} {file.size} {objects[file.name]['ETag']}" for file in known)
    return Snapshot(hashlib.sha256(state.encode()).hexdigest()[:40], known)


def fetch_s3(model: S3Model, snapshot: Snapshot, folder: Path, progress: Progress) -> None:
    """Leaves the files in `folder`, which belongs to this very snapshot. What an earlier run left there is used."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        missing = [file for file in snapshot.files if not _whole(folder / file.name, file)]
        left = sum(file.size for file in missing)
        require_space(folder, left, f"to download {model}")
        with _s3_errors(model), progress.transfer(f"downloading {model}", snapshot.size) as report:
            counter = _Counter(report, snapshot.size - left, snapshot.size)
            client = _client()
            for file in missing:  # each under a temporary name, in parallel parts, retried by the library
                client.download_file(model.bucket, model.key(file.name), str(folder / file.name), Callback=counter)


class _Counter:
    """boto3 calls it from several threads, with the bytes that came since it was last called."""

    def __init__(self, report: Report, done: int, total: int) -> None:
        self._report, self._done, self._total = report, done, total
        self._lock = threading.Lock()

    def __call__(self, came: int) -> None:
        with self._lock:
            self._done += came
            self._report(self._done, self._total)


def _client() -> Any:
    import boto3  # takes a while to import
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
        raise ModelNotFound(f"{model} does not exist: the bucket {model.bucket} has nothing under it.")
    return objects


def _stated_sha256(client: Any, model: S3Model, name: str) -> str | None:
    head = client.head_object(Bucket=model.bucket, Key=model.key(name), ChecksumMode="ENABLED")
    checksum: str | None = head.get("ChecksumSHA256")
    whole = (
        checksum and "-" not in checksum and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    )  # else it is one of its parts' checksums
    return base64.b64decode(checksum).hex() if checksum and whole else None


def _whole(path: Path, file: RemoteFile) -> bool:
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
    except BotoCoreError as error:  # connections, time-outs, endpoints
        raise SourceUnreachable(f"cannot reach S3 for {model}: {error}. Files that came whole are kept; try again to go on.") from error


def _answered(model: S3Model, error: dict[str, str]) -> WeightsError:
    code, message = error.get("Code", "?"), error.get("Message", "")
    if code in _REFUSED:
        return NotAuthorised(f"S3 refuses {model} ({code}). {_CREDENTIALS}")
    if code == "NoSuchBucket":
        return ModelNotFound(f"{model}: there is no bucket {model.bucket}.")
    if code in ("NoSuchKey", "404"):
        return ModelNotFound(f"{model} changed while it was read, or is gone. Try again.")
    return SourceUnreachable(f"S3 answers {code} for {model}: {message}")
