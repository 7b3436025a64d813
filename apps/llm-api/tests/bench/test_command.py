"""`llm-api bench` as a person runs it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from bench.scripted_server import ScriptedServer, serving

SHORT = ["--rounds", "2", "--concurrency", "1,2", "--requests-per-client", "1", "--max-tokens", "4"]


async def bench(*arguments: str, cwd: Path | None = None, **environment: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llm_api", "bench", *arguments),
        cwd=cwd,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_it_prints_the_tables_and_writes_both_files(tmp_path: Path) -> None:
    page, data = tmp_path / "performance.md", tmp_path / "new" / "bench.json"
    page.write_text("# Performance\n\n<!-- bench:begin -->\nold\n<!-- bench:end -->\n\nAfterword\n")
    async with serving(ScriptedServer()) as ours, serving(ScriptedServer(sends_usage=False)) as peer:
        urls = ["--url", ours.target().url, "--peer", f"peer={peer.target().url}"]
        code, out, err = await bench(*urls, *SHORT, "--json", str(data), "--markdown", str(page))
    assert code == 0, err
    assert "| llm-api / peer |" in out
    assert page.read_text().startswith("# Performance\n\n<!-- bench:begin -->\nMeasured ")
    assert page.read_text().endswith("<!-- bench:end -->\n\nAfterword\n")
    assert {(cell["server"], cell["concurrency"]) for cell in json.loads(data.read_text())["cells"]} == {
        (server, concurrency) for server in ("llm-api", "peer") for concurrency in (1, 2)
    }
    assert "round 2" in err


async def test_a_mistake_is_one_line() -> None:
    code, _, err = await bench("--url", "nonsense")
    assert code == 1
    assert err.startswith("llm-api bench: 'llm-api=nonsense' does not name a server")
    assert err.count("\n") == 1


async def test_a_service_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    code, _, err = await bench(cwd=tmp_path, MODEL_PATH=str(tmp_path / "nowhere"))
    assert code == 1
    assert err == "llm-api bench: the service ended with exit code 66: see build/bench-server.log\n"
    assert "nowhere" in (tmp_path / "build" / "bench-server.log").read_text()
