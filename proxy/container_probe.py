"""Health check of a container. Ends the service when /livez fails, so that the restart policy starts it again.

`python container_probe.py MANAGEMENT_PORT`. compose.yaml mounts this file into the image, so it uses only the standard library.
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
        if b"llm-api" in Path("/proc/1/cmdline").read_bytes():  # not the init of a machine
            for _ in range(2):  # the second SIGTERM ends the service at once, with a 503 for each unanswered request
                os.kill(1, signal.SIGTERM)
                time.sleep(0.2)
        return 1
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
