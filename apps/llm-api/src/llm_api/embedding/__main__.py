"""`python -m llm_api.embedding FD`: the entry point of the embedding process, started by engine/launcher.py."""

import signal
import sys


def main() -> int:
    # The API process decides when this one stops, after it has drained.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from llm_api.embedding.worker import run

    return run(int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
