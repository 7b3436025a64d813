"""`python -m llm_api.engine FD`: the entry point of the engine process, started by launcher.py."""

import signal
import sys


def main() -> int:
    # Ctrl-C and SIGTERM may reach the whole process group. The API process decides when the engine stops, after it has drained.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from llm_api.engine.worker import run

    return run(int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
