"""Installs each client in an environment of its own, once per lock, outside of the clone."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from clients.registry import FOLDER, Client

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llm-api" / "clients"
REPORTING = {"python": FOLDER / "python", "node": FOLDER / "node"}


class MissingTool(Exception):
    """A program that a client needs is not installed."""


def command(client: Client) -> tuple[list[str], Path]:
    """How to run the client's script, and the folder to run it in. Installs the client first. Raises MissingTool."""
    script = str(client.path / client.script)
    match client.kind:
        case "python":
            return [str(_python_environment(client.path / "requirements.txt") / "bin/python"), script], client.path
        case "node":
            folder = _node_environment(client.path)
            return [_tool("node"), str(folder / client.script)], folder
        case "java":
            return [_tool("java"), script], client.path
        case "own":
            return [sys.executable, script], client.path


def _python_environment(lock: Path) -> Path:
    def install(folder: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "--quiet", "venv", "--python", sys.executable, folder], check=True)
        python = folder / "bin/python"
        subprocess.run([uv, "--quiet", "pip", "install", "--python", python, "--no-deps", "--require-hashes", "-r", lock], check=True)

    return _installed(lock.parent.name, [lock], install)


def _node_environment(source: Path) -> Path:
    """Scripts are copied, because node looks for packages beside them."""

    def install(folder: Path) -> None:
        folder.mkdir()
        for file in source.iterdir():
            shutil.copy(file, folder)
        subprocess.run([_tool("npm"), "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)

    return _installed("node", sorted(source.glob("*.*js*")), install)


def _installed(name: str, inputs: list[Path], install: Callable[[Path], None]) -> Path:
    state = hashlib.sha256(b"".join(file.read_bytes() for file in inputs) + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{state}"
    if not (folder / "installed").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for older in CACHE.glob(f"{name}-*"):
            shutil.rmtree(older)
        install(folder)
        (folder / "installed").touch()
    return folder


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingTool(f"{name} is not installed: node, npm and java are needed for make clients")
    return found
