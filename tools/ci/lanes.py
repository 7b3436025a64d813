"""Runs the suites in two lanes: of this machine, and of the cluster, which then takes suites that the first has not begun."""

import asyncio
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.ci.cluster import Cluster
from tools.ci.runner import Runner
from tools.ci.suites import IMAGE, ON_THE_CLUSTER, ON_THIS_MACHINE, Suite

# Built first, because two suites would otherwise build it at the same time.
SET_UP = "make .venv/.dev && PYTHON=$PWD/.venv/bin/python tools/build >/dev/null && .venv/bin/llm-api pull"
TOOLS_OF_THE_CLUSTER_SUITES = "tools/build signing && tools/build flux"


async def run_all(runner: Runner, cluster: Cluster, environment: Mapping[str, str], logs: Path) -> None:
    """SIGTERM and Ctrl-C interrupt the suites, so that they stop their processes and containers."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    ready, waiting = asyncio.Event(), deque(ON_THIS_MACHINE)
    lanes = (_on_this_machine(runner, environment, ready, waiting), _on_the_cluster(runner, cluster, environment, logs, ready, waiting))
    if environment.get("CI_SERIAL"):
        for lane in lanes:
            await lane
    else:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(lane)


async def _on_this_machine(runner: Runner, environment: Mapping[str, str], ready: asyncio.Event, waiting: deque[Suite]) -> None:
    await runner.preparation("set up", SET_UP, environment)
    ready.set()
    await _run_each(runner, environment, waiting, waiting.popleft)


async def _on_the_cluster(
    runner: Runner, cluster: Cluster, environment: Mapping[str, str], logs: Path, ready: asyncio.Event, waiting: deque[Suite]
) -> None:
    """Takes what is left of the other lane from its end, so that the longest suite starts first."""
    await _cluster_suites(runner, cluster, environment, logs, ready)
    await ready.wait()
    await _run_each(runner, environment, waiting, waiting.pop)


async def _run_each(runner: Runner, environment: Mapping[str, str], waiting: deque[Suite], take: Callable[[], Suite]) -> None:
    while waiting:
        suite = take()
        if not runner.skip(suite):
            await runner.suite(suite, environment)


async def _cluster_suites(runner: Runner, cluster: Cluster, environment: Mapping[str, str], logs: Path, ready: asyncio.Event) -> None:
    """Starts the cluster once and builds one image for all suites that are not left out."""
    wanted = [suite for suite in ON_THE_CLUSTER if not runner.skip(suite)]
    if not wanted and runner.skip(IMAGE):
        return
    if cluster.build:  # takes 15 minutes on a new machine, at the lowest priority
        await runner.preparation("build the cluster", f"renice -n 19 -p $$ >/dev/null && {cluster.build}", environment)
    await ready.wait()
    await runner.preparation("build the tools", TOOLS_OF_THE_CLUSTER_SUITES, environment)
    if runner.failed:
        return  # `stop` would end a cluster that this run has not started
    variables = logs / "cluster.env"
    try:
        if start := cluster.start(variables):
            await runner.preparation("start the cluster", start, environment)
        if runner.failed:
            return
        around = {**environment, **cluster.environment(variables)}
        image = around.get("IMAGE") or image_in(await runner.suite(IMAGE, around))
        for suite in wanted:
            await runner.suite(suite, {**around, "IMAGE": image})
    finally:
        subprocess.run(["bash", "-c", cluster.stop], check=False)  # noqa: ASYNC221, S603, S607


def image_in(log: str) -> str:
    """The image's name by digest, which `make image` prints last. Empty if it failed."""
    return next((line.strip() for line in reversed(log.splitlines()) if "@sha256:" in line), "")
