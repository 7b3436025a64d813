"""`python -m llm_api.engine FD`: how the API process starts the engine."""

import signal
import sys


def main() -> int:
    # The parent decides when to stop: a signal to the whole group must not cut off what it still drains.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from llm_api.engine.worker import run

    return run(int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
