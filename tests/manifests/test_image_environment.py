"""The image's variables and the overlay's together select the right model."""

import json
import re
from pathlib import Path

import pytest
import yaml

from delivery.policy.objects import environment, main_container
from delivery.rendering import Object, render
from llm_api.settings import DEFAULT_MODEL_URI, Settings
from llm_api.weights.uri import gguf_name

ROOT = Path(__file__).parents[2]
BAKED = "/opt/models"


def last_stage() -> str:
    return (ROOT / "apps/llm-api/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").rpartition("\nFROM ")[2]


def of_the_image() -> dict[str, str]:
    lines = re.findall(r"^ENV (.+)$", last_stage(), re.MULTILINE)
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(lines)))


def deployment(overlay: str, tools: Path) -> Object:
    [found] = [found for found in render(ROOT, f"overlays/{overlay}", tools / "kustomize").objects if found["kind"] == "Deployment"]
    return found


@pytest.fixture
def settings(tools: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Settings:
    """The settings of the service in a pod of the overlay."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in (of_the_image() | environment(main_container(deployment(request.param, tools)))).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize("settings", ["dev"], indirect=True)
def test_dev_serves_the_model_in_the_image(settings: Settings) -> None:
    assert settings.model_path is None
    assert settings.model_uri == f"file://{BAKED}/{gguf_name(DEFAULT_MODEL_URI)}"


@pytest.mark.parametrize("settings", ["prod"], indirect=True)
def test_prod_serves_the_model_in_environment_yaml(settings: Settings) -> None:
    data = yaml.safe_load((ROOT / "overlays/prod/environment.yaml").read_text(encoding="utf-8"))["data"]
    assert settings.model_path is None, "it would override the MODEL_URI of components/model-cache"
    assert settings.model_uri == data["model"]


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_image_writes_only_to_mounted_volumes(overlay: str, tools: Path) -> None:
    image = of_the_image()
    assert image["MODEL_CACHE"] == "/var/cache/llm-api"
    assert {image[name].split("/")[1] for name in ("HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")} == {"tmp"}
    declared = re.search(r"^VOLUME (.+)$", last_stage(), re.MULTILINE)
    assert declared is not None
    mounted = {mount["mountPath"] for mount in main_container(deployment(overlay, tools))["volumeMounts"]}
    assert set(json.loads(declared[1])) <= mounted
