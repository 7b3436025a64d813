"""Settings come from the environment, options override them, and the error for an invalid one names it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import run_cli

from llm_api.cli.errors import CommandError
from llm_api.cli.settings import read_settings
from llm_api.settings import Settings


def test_the_names_of_settings_are_never_cut() -> None:
    shown = set(run_cli("settings", env={"COLUMNS": "60"}).stdout.split())
    assert {name.upper() for name in Settings.model_fields} <= shown


def test_all_are_listed_with_their_values() -> None:
    result = run_cli("settings", env={"PORT": "9001", "API_KEYS": f"alice:{'0' * 64}"})
    listed = {line.split()[0] for line in result.stdout.splitlines() if line and not line.startswith(" ")}
    assert listed == {"Variable", *(name.upper() for name in Settings.model_fields)}
    assert "9001" in result.stdout
    assert "alice" not in result.stdout


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PORT", "abc", "PORT=abc is not valid"),
        ("PORT", "70000", "PORT=70000 is not valid: .*65535"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL=loud is not valid: .*'info'"),
        ("KV_CACHE_MEMORY", "lots", "KV_CACHE_MEMORY=lots is not valid"),
    ],
)
def test_an_invalid_variable_is_reported_in_one_line(variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(CommandError, match=line) as raised:
        read_settings()
    assert raised.value.exit_code == 78


def test_an_invalid_option_is_named_as_an_option() -> None:
    command = [sys.executable, "-m", "llm_api", "serve", "--port", "70000"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 78
    assert (
        json.loads(result.stderr).items()
        >= {
            "level": "error",
            "event": "not started",
            "reason": "--port=70000 is not valid: Input should be less than or equal to 65535",
        }.items()
    )


def test_an_option_overrides_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    assert read_settings(port=2, host=None).port == 2


def test_names_of_models_whose_code_may_run_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_REMOTE_CODE", "org/one, org/two,")
    assert read_settings().allow_remote_code == ("org/one", "org/two")


def test_without_a_home_folder_the_error_names_model_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)  # a user id that the system does not know, as in many containers
    with pytest.raises(CommandError, match="set MODEL_CACHE"):
        read_settings()
