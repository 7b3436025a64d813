"""Help texts have examples and name settings, and loading them imports no library."""

import re
import subprocess
import sys
from importlib.metadata import requires

import pytest
from cli.commands import run_cli

from llm_api import __version__
from llm_api.settings import Settings


def unwrapped(help_text: str) -> str:
    return " ".join(help_text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], ["serve", "pull", "keys", "bench", "settings", "llm-api serve --model-uri hf://"]),
        (["serve"], ["--host", "--port", "--model-path", "--model-uri", "--model-name", "MODEL_URI", "SIGTERM drains"]),
        (["pull"], ["--verify", "MODEL_CACHE", "HF_TOKEN", "74 disk full"]),
        (["keys"], ["new", "list", "check", "API_KEYS_FILE=keys.txt llm-api serve", "revoke"]),
        (["keys", "new"], ["--file", "printed once"]),
        (["bench"], ["--peer", "--concurrency"]),
    ],
)
def test_help_has_examples(command: list[str], expected: list[str]) -> None:
    result = run_cli(*command, "--help")
    assert result.exit_code == 0
    assert [part for part in expected if part not in unwrapped(result.stdout)] == []


def test_every_environment_variable_it_names_is_a_setting() -> None:
    named = set(re.findall(r"Env ([A-Z_]+)", unwrapped(run_cli("serve", "--help").stdout)))
    assert {"HOST", "PORT", "MODEL_PATH", "MODEL_URI", "MODEL_NAME"} <= named
    assert named <= {field.upper() for field in Settings.model_fields}


def test_help_loads_no_library() -> None:
    """Help must be fast. typer itself loads pydantic, if it is installed, for the help of a subcommand."""
    libraries = {re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in requires("llm-api") or ()} - {"typer", "rich"}
    assert {"torch", "transformers", "fastapi", "pydantic", "structlog", "prometheus_client"} <= libraries
    code = (
        "import sys, llm_api.cli\n"
        "for command in [], ['serve'], ['pull'], ['keys', 'new'], ['smoke'], ['bench'], ['settings']:\n"
        "    sys.argv = ['llm-api', *command, '--help']\n"
        "    try: llm_api.cli.main()\n"
        "    except SystemExit as ended: assert not ended.code\n"
        "    print('modules', *sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = [libraries & set(line.split()) for line in result.stdout.splitlines() if line.startswith("modules ")]
    assert loaded[0] == set()
    assert loaded[-1] <= {"pydantic"}


def test_the_version_is_printed() -> None:
    assert run_cli("--version").stdout.strip() == __version__
