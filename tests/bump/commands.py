"""`python -m delivery` on a clone: as a process, or without starting one where many commands only make a state."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from bump.repositories import AUTHOR
from copied_tree import ROOT
from typer.testing import CliRunner

from delivery.__main__ import application


class Said(NamedTuple):
    code: int
    out: str
    err: str


Delivery = Callable[..., Said]


def started(clone: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "delivery", *arguments]
    environment = os.environ | AUTHOR | {"PYTHONPATH": f"{ROOT}:{ROOT}/apps/llm-api/src"} | variables
    return subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def as_process(clone: Path, **around: str) -> Delivery:
    def run(*arguments: str, **variables: str) -> Said:
        process = started(clone, *arguments, **around, **variables)
        out, err = process.communicate(timeout=100)
        return Said(process.returncode, out.strip(), err.strip())

    return run


def in_process(clone: Path, monkeypatch: pytest.MonkeyPatch, **around: str) -> Delivery:
    def run(*arguments: str, **variables: str) -> Said:
        with monkeypatch.context() as patch:
            patch.chdir(clone)
            done = CliRunner().invoke(application, arguments, env=AUTHOR | around | variables)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.stdout.strip(), done.stderr.strip())

    return run
