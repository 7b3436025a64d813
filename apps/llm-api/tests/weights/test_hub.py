"""A model of the Hugging Face hub. A small local server has the endpoints that the real huggingface_hub calls."""

from pathlib import Path

import pytest
from weights.conftest import Notes
from weights.file_server import FileServer
from weights.hub_server import COMMIT, HubRepo
from weights.tiny_models import write_folder

from llm_api.weights import checksums
from llm_api.weights.errors import (
    NotAuthorised,
    RemoteCodeRefused,
    SourceUnreachable,
    UnsupportedModel,
    WeightsError,
    WeightsNotFound,
    WrongChecksum,
)
from llm_api.weights.resolve import ServableModel, resolve

URI = "hf://org/tiny@main"


@pytest.fixture(autouse=True)
def endpoint(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The effect of HF_ENDPOINT, which the library reads when it is imported."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def repo(server: FileServer, tmp_path: Path) -> HubRepo:
    files = {path.name: path.read_bytes() for path in write_folder(tmp_path / "published").iterdir()}
    return HubRepo(server, "org/tiny", files=files)


def pull(tmp_path: Path, notes: Notes, uri: str = URI, *, allow: tuple[str, ...] = (), refresh: bool = False) -> ServableModel:
    return resolve(None, uri, tmp_path / "cache", notes.progress, allow_remote_code=allow, refresh=refresh)


@pytest.fixture
def known_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the import of transformers. One test below has the real check."""
    monkeypatch.setattr("llm_api.weights.conversion_process.Converter.check", lambda converter, folder: None)


def _unknown_architecture(converter: object, folder: Path) -> None:
    raise WeightsError("unknown architecture")


@pytest.mark.usefixtures("known_architecture")
class TestARepositoryOfSafetensors:
    def test_only_needed_files_are_downloaded(self, repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
        unwanted = ("pytorch_model.bin", "code.py", "README.md", "consolidated.safetensors", "original/params.json")
        repo.files["additional_chat_templates/tool_use.jinja"] = b"{{ tools }}"
        published = set(repo.files)
        repo.files |= dict.fromkeys(unwanted, b"x")
        repo.publish()
        source = pull(tmp_path, notes)
        assert source.name == "org/tiny"
        assert not source.remote_code
        assert {str(path.relative_to(source.path)) for path in source.path.rglob("*.*")} == {*published, "manifest.json"}
        assert not any(repo.has_request_for(name) for name in unwanted)

    def test_a_second_start_sends_no_request(self, repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
        repo.publish()
        first = pull(tmp_path, notes)
        repo.server.requests.clear()
        assert pull(tmp_path, notes) == first
        assert repo.server.requests == []

    def test_a_newer_commit_of_a_branch_is_used_only_with_refresh(self, repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
        repo.publish()
        folder = pull(tmp_path, notes).path
        repo.commit = COMMIT[::-1]
        repo.files["generation_config.json"] = b"{}"
        repo.publish()
        pull(tmp_path, notes)
        assert not (folder / "generation_config.json").exists()
        pull(tmp_path, notes, refresh=True)
        assert (folder / "generation_config.json").exists()
        known = checksums.read_manifest(folder)
        assert known is not None
        assert known.revision == repo.commit

    def test_an_interrupted_pull_is_resumed(self, repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
        repo.files["model.safetensors"] = b""
        repo.publish()
        with pytest.raises(WeightsError, match="truncated or not a safetensors file"):
            pull(tmp_path, notes)
        repo.server.requests.clear()
        with pytest.raises(WeightsError, match="truncated or not a safetensors file"):
            pull(tmp_path, notes)
        assert not any(request.method == "GET" for request in repo.server.requests if request.path.endswith("tokenizer.json"))

    def test_a_file_that_differs_from_the_hubs_checksum_is_refused(self, repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
        repo.wrong = ("model.safetensors",)
        repo.publish()
        with pytest.raises(WrongChecksum, match=r"model\.safetensors has the wrong checksum: expected sha256 0{64}"):
            pull(tmp_path, notes)


def test_pickles_are_refused_before_download(repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
    repo.files["pytorch_model.bin"] = repo.files.pop("model.safetensors")
    repo.publish()
    with pytest.raises(UnsupportedModel, match=r"only pickled weights \(pytorch_model\.bin\)"):
        pull(tmp_path, notes)
    assert not repo.has_request_for("pytorch_model.bin")


def test_a_repository_of_ggufs_needs_a_file_name(repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
    repo.files = {"a-Q4_K_M.gguf": b"", "a-Q8_0.gguf": b""}
    repo.publish()
    with pytest.raises(UnsupportedModel, match=r"Name one: hf://org/tiny@main/a-Q4_K_M\.gguf"):
        pull(tmp_path, notes)


def test_a_missing_gguf_is_reported_with_the_available_ones(repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
    repo.files = {"a.gguf": b""}
    repo.publish()
    with pytest.raises(WeightsNotFound, match=r"has no b\.gguf at main; it has a\.gguf"):
        pull(tmp_path, notes, f"{URI}/b.gguf")


def test_only_the_named_gguf_is_downloaded(repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
    repo.files["a.gguf"] = b"not a model"
    repo.publish()
    with pytest.raises(WeightsError, match=r"cannot read a\.gguf as GGUF"):
        pull(tmp_path, notes, f"{URI}/a.gguf")
    assert not repo.has_request_for("model.safetensors")


def test_model_code_needs_permission_by_name(repo: HubRepo, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.weights.conversion_process.Converter.check", _unknown_architecture)
    repo.files |= {"config.json": b'{"model_type": "nonesuch", "auto_map": {"AutoConfig": "code.Config"}}', "code.py": b""}
    repo.publish()
    with pytest.raises(RemoteCodeRefused, match="set ALLOW_REMOTE_CODE=org/tiny"):
        pull(tmp_path, notes)
    assert not repo.has_request_for("code.py")
    source = pull(tmp_path, notes, allow=("org/tiny",))
    assert source.remote_code
    assert (source.path / "code.py").exists()


@pytest.mark.usefixtures("converts_here")
def test_an_unknown_architecture_is_refused(repo: HubRepo, notes: Notes, tmp_path: Path) -> None:
    repo.files["config.json"] = b'{"model_type": "nonesuch"}'
    repo.publish()
    with pytest.raises(WeightsError, match="unknown architecture: model_type 'nonesuch'"):
        pull(tmp_path, notes)


@pytest.mark.parametrize(
    ("status", "code", "error", "line"),
    [
        (403, "GatedRepo", NotAuthorised, "org/tiny is gated: .*HF_TOKEN"),
        (404, "RepoNotFound", WeightsNotFound, "org/tiny is not on the hub, or it is private"),
        (404, "RevisionNotFound", WeightsNotFound, "org/tiny has no revision 'main'"),
        (403, "", NotAuthorised, "the hub refuses access to org/tiny"),
        (500, "", SourceUnreachable, "HTTP 500"),
    ],
)
def test_each_refusal_has_its_own_line(
    status: int, code: str, error: type[Exception], line: str, repo: HubRepo, notes: Notes, tmp_path: Path
) -> None:
    repo.publish()
    repo.refuse(status, code)
    with pytest.raises(error, match=line):
        pull(tmp_path, notes)


def test_without_a_network_the_error_is_one_line(notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceUnreachable, match="cannot reach the hub for hf://org/tiny@main"):
        pull(tmp_path, notes)
