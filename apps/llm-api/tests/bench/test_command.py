"""`llm-api bench` from the command line to its report."""

import asyncio
import json
from pathlib import Path

import pytest
from bench.scripted_openai_server import ScriptedServer, serving
from cli.commands import run_cli
from typer.testing import Result

SHORT = ["--rounds", "2", "--concurrency", "1,2", "--requests-per-client", "1", "--max-tokens", "4"]


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark waits until the machine is quiet, which a test machine may never be."""
    monkeypatch.setattr("llm_api.bench.benchmark.cpu_busy", lambda: 1.0)


async def bench(*arguments: str, **environment: str) -> Result:
    """Runs in another thread, because the scripted servers run in this one."""
    return await asyncio.to_thread(run_cli, "bench", *arguments, env=environment)


async def test_it_prints_the_tables_and_writes_both_files(tmp_path: Path) -> None:
    page, data = tmp_path / "performance.md", tmp_path / "new" / "bench.json"
    page.write_text("# Performance\n\n<!-- bench:begin -->\nold\n<!-- bench:end -->\n\nAfterword\n")
    async with serving(ScriptedServer()) as ours, serving(ScriptedServer(sends_usage=False)) as peer:
        urls = ["--url", ours.target().url, "--peer", f"peer={peer.target().url}"]
        result = await bench(*urls, *SHORT, "--json", str(data), "--markdown", str(page))
    assert result.exit_code == 0, result.stderr
    assert "| llm-api / peer |" in result.stdout
    assert page.read_text().startswith("# Performance\n\n<!-- bench:begin -->\nMeasured ")
    assert page.read_text().endswith("<!-- bench:end -->\n\nAfterword\n")
    assert {(cell["server"], cell["concurrency"]) for cell in json.loads(data.read_text())["cells"]} == {
        (server, concurrency) for server in ("llm-api", "peer") for concurrency in (1, 2)
    }
    assert "round 2" in result.stderr


async def test_an_invalid_option_is_reported_in_one_line() -> None:
    result = await bench("--url", "nonsense")
    assert result.exit_code == 1
    assert result.stderr.startswith("llm-api bench: 'llm-api=nonsense' does not name a server")
    assert result.stderr.count("\n") == 1


async def test_a_service_that_does_not_start_is_reported_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = await bench(BLOCK_SIZE="none")
    assert result.exit_code == 1
    assert result.stderr == "llm-api bench: the service exited with code 78: see build/bench-server.log\n"
    assert "BLOCK_SIZE=none" in (tmp_path / "build" / "bench-server.log").read_text()
