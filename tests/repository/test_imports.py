"""Imports of the API process at run time, which import-linter cannot detect."""

import subprocess
import sys


def test_the_api_and_its_server_load_neither_torch_nor_transformers() -> None:
    program = "import sys, llm_api.app, llm_api.server.server, llm_api.service.engine_service; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "llm_api.app" in loaded
    assert {"accelerate", "torch", "transformers"}.isdisjoint(loaded)
