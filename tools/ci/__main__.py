"""`python3 -m tools.ci`, called by .ci/run: runs every suite and prints a table of durations. Needs only git and Python's standard library.

CI_FULL=1    also runs suites that have already passed with the same inputs on this machine
CI_SERIAL=1  runs one suite at a time
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tools.ci.cluster import ClusterMissing, find_cluster
from tools.ci.inputs import Inputs
from tools.ci.lanes import run_all
from tools.ci.records import Records
from tools.ci.runner import Runner

ROOT = Path(__file__).parents[2]


def main() -> int:
    started = time.monotonic()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job and its children would ignore it
    environment = dict(os.environ)
    caches = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-api"
    logs = caches / "ci"
    logs.mkdir(parents=True, exist_ok=True)
    try:
        cluster = find_cluster(ROOT, environment)
    except ClusterMissing as error:
        print(f".ci/run: {error}", file=sys.stderr)
        return 2
    records = Records(caches / "passed", ignore=bool(environment.get("CI_FULL")))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607
    runner = Runner(ROOT, logs, records, Inputs(ROOT, environment, cluster.folder).known, commit)
    try:
        asyncio.run(run_all(runner, cluster, environment, logs))
    except (KeyboardInterrupt, asyncio.CancelledError):
        runner.fail()
    print(runner.table(time.monotonic() - started), flush=True)
    return int(runner.failed)


if __name__ == "__main__":
    sys.exit(main())
