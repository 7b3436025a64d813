"""The cases of architectures.yaml: each architecture and each variation of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "architectures.yaml"
EXPECTED = ("path", "refused", "max_model_len", "sample")


@dataclass(frozen=True)
class Case:
    """`path` is None for a model that is refused, `refused` for one that is served."""

    name: str
    model_type: str
    config: dict[str, Any]
    path: str | None
    refused: str | None
    max_model_len: int | None
    in_sample: bool

    def __str__(self) -> str:
        return self.name


def read_cases() -> list[Case]:
    architectures = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [case for model_type, architecture in architectures.items() for case in _cases(model_type, architecture)]


def _cases(model_type: str, architecture: dict[str, Any]) -> list[Case]:
    plain = _case(model_type, model_type, architecture.get("config", {}), architecture)
    variations = architecture.get("variations", {})
    return [plain, *(_variation(plain, name, changes) for name, changes in variations.items())]


def _variation(plain: Case, name: str, changes: dict[str, Any]) -> Case:
    expected = {"path": plain.path} | {key: value for key, value in changes.items() if key in EXPECTED}
    config = plain.config | {key: value for key, value in changes.items() if key not in EXPECTED}
    return _case(f"{plain.name}, {name}", plain.model_type, config, expected)


def _case(name: str, model_type: str, config: dict[str, Any], expected: dict[str, Any]) -> Case:
    refused = expected.get("refused")
    path = None if refused else expected["path"]
    return Case(name, model_type, config, path, refused, expected.get("max_model_len"), expected.get("sample", False))
