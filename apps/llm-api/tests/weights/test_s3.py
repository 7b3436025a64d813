"""A model in a bucket. The real boto3 uses moto's S3 server over HTTP."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from weights.conftest import Notes
from weights.tiny_models import write_folder

from llm_api.weights import checksums
from llm_api.weights.errors import NotAuthorised, SourceUnreachable, UnsupportedModel, WeightsError, WeightsNotFound, WrongChecksum
from llm_api.weights.resolve import ServableModel, resolve

BUCKET = "models"
URI = f"s3://{BUCKET}/llms/tiny"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def aws(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture(autouse=True)
def known_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds that importing transformers takes."""
    monkeypatch.setattr("llm_api.weights.conversion_process.Converter.check", lambda converter, folder: None)


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def bucket(s3: Any, tmp_path: Path) -> Iterator[Any]:
    """A bucket with the model. Each object has a SHA-256, as after `aws s3 cp --checksum-algorithm SHA256`."""
    s3.create_bucket(Bucket=BUCKET)
    for path in write_folder(tmp_path / "published").iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"llms/tiny/{path.name}", Body=path.read_bytes(), ChecksumAlgorithm="SHA256")
    yield s3
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def pull(tmp_path: Path, notes: Notes, uri: str = URI, *, refresh: bool = False) -> ServableModel:
    return resolve(None, uri, tmp_path / "cache", notes.progress, refresh=refresh)


def test_only_needed_objects_are_downloaded(bucket: Any, notes: Notes, tmp_path: Path) -> None:
    for unwanted in ("pytorch_model.bin", "README.md", "original/params.json", "consolidated.safetensors"):
        bucket.put_object(Bucket=BUCKET, Key=f"llms/tiny/{unwanted}", Body=b"x")
    bucket.put_object(Bucket=BUCKET, Key="llms/tiny-other/config.json", Body=b"{}")
    bucket.put_object(Bucket=BUCKET, Key="llms/tiny/additional_chat_templates/tool_use.jinja", Body=b"{{ tools }}")
    source = pull(tmp_path, notes)
    assert source.name == "tiny"
    published = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    assert {path.name: path.read_bytes() for path in source.path.glob("*.*") if path.name != "manifest.json"} == published
    assert (source.path / "additional_chat_templates" / "tool_use.jinja").read_bytes() == b"{{ tools }}"
    assert "downloading s3://models/llms/tiny" in notes.text


def test_a_second_start_sends_no_request(bucket: Any, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pull(tmp_path, notes)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert pull(tmp_path, notes) == first


def test_a_changed_object_is_downloaded_only_with_refresh(bucket: Any, notes: Notes, tmp_path: Path) -> None:
    folder = pull(tmp_path, notes).path
    known = checksums.read_manifest(folder)
    bucket.put_object(Bucket=BUCKET, Key="llms/tiny/generation_config.json", Body=b'{"top_k": 3}')
    pull(tmp_path, notes)
    assert checksums.read_manifest(folder) == known
    pull(tmp_path, notes, refresh=True)
    assert (folder / "generation_config.json").read_bytes() == b'{"top_k": 3}'


def test_an_interrupted_pull_downloads_only_the_missing_files(
    bucket: Any, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(converter: object, folder: Path) -> None:
        raise WeightsError("interrupted")

    with monkeypatch.context() as broken:
        broken.setattr("llm_api.weights.conversion_process.Converter.check", breaks)
        with pytest.raises(WeightsError, match="interrupted"):
            pull(tmp_path, notes)
    [came] = tmp_path.glob("cache/models/.*/files-*/tokenizer.json")
    before = came.stat().st_mtime_ns
    assert (pull(tmp_path, notes).path / "tokenizer.json").stat().st_mtime_ns == before


def test_an_object_with_a_wrong_checksum_is_refused(bucket: Any, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.weights.sources.s3._stated_sha256", lambda client, model, name: "0" * 64)
    with pytest.raises(WrongChecksum, match="expected sha256 0{64}"):
        pull(tmp_path, notes)


def test_the_checksums_are_those_of_the_objects(bucket: Any, notes: Notes, tmp_path: Path) -> None:
    from hashlib import sha256

    from llm_api.weights.sources.s3 import look_up_s3
    from llm_api.weights.uri import S3Model

    stated = look_up_s3(S3Model(BUCKET, "llms/tiny", None), False).sha256
    assert stated == {path.name: sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "published").iterdir()}


def test_one_gguf_is_downloaded_alone(s3: Any, bucket: Any, notes: Notes, tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="llms/tiny/a.gguf", Body=b"not a model")
    with pytest.raises(WeightsError, match=r"cannot read a\.gguf as GGUF"):
        pull(tmp_path, notes, f"{URI}/a.gguf")
    assert not list(tmp_path.glob("cache/models/.*/files-*/*.safetensors"))


def test_pickles_are_refused_before_download(s3: Any, bucket: Any, notes: Notes, tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="old/pytorch_model.bin", Body=b"x")
    with pytest.raises(UnsupportedModel, match=r"only pickled weights \(pytorch_model\.bin\)"):
        pull(tmp_path, notes, f"s3://{BUCKET}/old")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://nonesuch/model", "the bucket nonesuch does not exist"),
        (f"s3://{BUCKET}/nowhere", "has no object there"),
        (f"{URI}/b.gguf", "has no object there"),
    ],
)
def test_a_missing_bucket_or_object_is_named(uri: str, reason: str, bucket: Any, notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound, match=reason):
        pull(tmp_path, notes, uri)


def test_a_refusal_names_the_settings_and_no_secret(bucket: Any, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as refused:
        refused.setattr("botocore.client.BaseClient._make_api_call", _refuse)
        with pytest.raises(
            NotAuthorised, match=r"S3 refuses access to s3://models/llms/tiny \(AccessDenied\).*AWS_ACCESS_KEY_ID"
        ) as raised:
            pull(tmp_path, notes)
    assert "the-secret" not in str(raised.value) + notes.text


def test_without_a_network_the_error_is_one_line(notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SourceUnreachable, match="cannot reach S3 for s3://models/llms/tiny"):
        pull(tmp_path, notes)


def test_a_public_bucket_needs_no_credentials(bucket: Any, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]:
        bucket.put_object_acl(Bucket=BUCKET, Key=entry["Key"], ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert pull(tmp_path, notes).name == "tiny"


def _refuse(client: Any, operation: str, _: dict[str, Any]) -> None:
    from botocore.exceptions import ClientError

    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, operation)
