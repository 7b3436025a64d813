"""A fingerprint of everything that a suite's result depends on: tracked files, the machine, the environment, the shared cluster."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tools.ci.suites import Suite

NAME = re.compile(rb"[A-Z][A-Z0-9_]{2,}")
# Variables that tools read, but that no tracked file names.
READ_BY_TOOLS = ("CUDA", "GO", "GOMP", "HF_", "LLM_", "MAKE", "MKL", "OMP", "PIP_", "PYTEST", "PYTHON", "TORCH", "UV_")
OF_THE_RUN = {"CI_FULL", "CI_SERIAL", "OLDPWD", "PWD", "TERM"}  # these differ between runs and change no result


class InputsUnknown(Exception):
    """The inputs of a suite cannot be determined. The message has the reason."""


class Inputs:
    def __init__(self, root: Path, environment: Mapping[str, str], shared: Path | None) -> None:
        """`shared`: the folder of the shared cluster; None if another cluster is used."""
        self._root, self._environment, self._shared = root, environment, shared
        self._reasons: set[str] = set()

    def known(self, suite: Suite) -> str | None:
        """The suite's fingerprint. After any error, prints the reason once and returns None: then the suite must run."""
        try:
            return fingerprint(suite, self._root, self._environment, self._shared)
        except Exception as error:
            reason = f"== make {suite.name}: runs and is not recorded, because its inputs are unknown: {error}"
            if reason not in self._reasons:
                print(reason, flush=True)
            self._reasons.add(reason)
            return None


def fingerprint(suite: Suite, root: Path, environment: Mapping[str, str], shared: Path | None) -> str:
    """SHA-256, hexadecimal. Raises InputsUnknown, OSError or CalledProcessError."""
    digest = hashlib.sha256()
    for part in _parts(suite, root, environment, shared):
        digest.update(part.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


def _parts(suite: Suite, root: Path, environment: Mapping[str, str], shared: Path | None) -> Iterator[str]:
    yield suite.name
    yield from _tracked(root, suite.unrelated)
    yield from _machine()
    yield from _environment(root, environment)
    if suite.uses_cluster:
        if shared is None:
            raise InputsUnknown("the state of the cluster of KUBECONFIG is unknown")
        yield from _folder(shared)


def _tracked(root: Path, unrelated: tuple[str, ...]) -> Iterator[str]:
    """Mode, blob and path of each related file of HEAD. The working tree must be HEAD: suites clone it."""
    changed = _output("git", "status", "--porcelain", "--untracked-files=all", cwd=root)
    if changed:
        raise InputsUnknown(f"the working tree is not HEAD: {changed.splitlines()[0].strip()}")
    for entry in _output("git", "ls-tree", "-r", "-z", "HEAD", cwd=root).split("\0"):
        if entry and not entry.partition("\t")[2].startswith(unrelated):
            yield entry


def _machine() -> Iterator[str]:
    yield from (sys.version, platform.release(), platform.machine(), str(os.cpu_count()))
    yield from sorted({line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "model name"))})
    yield _output("dpkg-query", "--show")
    for command in (("go", "version"), ("node", "--version")):
        yield _output(*command) if shutil.which(command[0]) else "none"


def _environment(root: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Variables that a tracked file names, and those that tools are known to read."""
    named = set(NAME.findall(_output("git", "grep", "-hIowE", "[A-Z][A-Z0-9_]{2,}", "HEAD", cwd=root).encode()))
    for name, value in sorted(environment.items()):
        if name not in OF_THE_RUN and (name.encode() in named or name.startswith(READ_BY_TOOLS)):
            yield f"{name}={value}"


def _folder(folder: Path) -> Iterator[str]:
    for path in _files(folder):
        yield f"{path.relative_to(folder)} {path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        raise InputsUnknown(f"{folder} is not a folder")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _output(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, errors="surrogateescape").stdout  # noqa: S603
