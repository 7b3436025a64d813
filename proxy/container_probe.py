"""A container's health check that also ends a service whose /livez is red, so that its restart policy starts it again.

`python container_probe.py MANAGEMENT_PORT`. Standard library alone: it runs in the image.
"""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def main() -> int:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{int(sys.argv[1])}/livez", timeout=3).close()
    except urllib.error.HTTPError:
        if b"llm-api" in Path("/proc/1/cmdline").read_bytes():  # never the init of a machine
            for _ in range(2):  # the second one ends it now, with a 503 to every request that has no answer yet
                os.kill(1, signal.SIGTERM)
                time.sleep(0.2)
        return 1
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
