"""`python -m llm_api.engine FD`: how the API process starts the engine."""

import sys

from llm_api.engine.process import run

if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1])))
