"""Becomes one replica, with the environment of the moment: `python -m proxy.replica ENVIRONMENTS NUMBER`, run by the supervisor."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    environments, number = Path(sys.argv[1]), int(sys.argv[2])
    environment = json.loads(environments.read_text(encoding="utf-8"))[number]
    merged = {name: value for name, value in (os.environ | environment).items() if value is not None}
    merged["OMP_NUM_THREADS"] = merged["NUM_THREADS"]
    os.execve(sys.executable, [sys.executable, "-m", "llm_api", "serve"], merged)  # noqa: S606


if __name__ == "__main__":
    main()
