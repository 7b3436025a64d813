"""The command line explains itself, at once."""

import os
import re
import subprocess
import sys

import pytest
from cli.commands import run_cli

from llm_api import __version__
from llm_api.settings import Settings


def unwrapped(help_text: str) -> str:
    return " ".join(help_text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("command", "teaches"),
    [
        ([], ["serve", "pull", "keys", "bench", "settings", "llm-api serve --model-uri hf://"]),
        (["serve"], ["--host", "--port", "--model-path", "--model-uri", "--model-name", "MODEL_URI", "SIGTERM drains"]),
        (["pull"], ["--verify", "MODEL_CACHE", "HF_TOKEN", "74 disk full"]),
        (["keys"], ["new", "list", "check", "API_KEYS_FILE=keys.txt llm-api serve", "revoke"]),
        (["keys", "new"], ["--file", "printed once"]),
        (["bench"], ["--peer", "--concurrency"]),
    ],
)
def test_help_teaches(command: list[str], teaches: list[str]) -> None:
    result = run_cli(*command, "--help")
    assert result.exit_code == 0
    assert [part for part in teaches if part not in unwrapped(result.stdout)] == []


def test_every_environment_variable_it_names_is_a_setting() -> None:
    named = set(re.findall(r"Env ([A-Z_]+)", unwrapped(run_cli("serve", "--help").stdout)))
    assert {"HOST", "PORT", "MODEL_PATH", "MODEL_URI", "MODEL_NAME"} <= named
    assert named <= {field.upper() for field in Settings.model_fields}


def test_help_is_quick_and_loads_no_library() -> None:
    code = (
        "import sys; sys.argv = ['llm-api', '--help']\n"
        "try: import llm_api.cli; llm_api.cli.main()\n"
        "except SystemExit: print(sorted({'torch', 'transformers', 'pydantic', 'fastapi', 'httpx2'} & set(sys.modules)))"
    )
    before = os.times().children_user
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert os.times().children_user - before < 0.5  # of the processor: the clock would count others' work too


def test_the_version_is_told() -> None:
    assert run_cli("--version").stdout.strip() == __version__
