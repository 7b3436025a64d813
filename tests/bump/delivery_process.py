"""Runs `python -m delivery` in a clone: as a process, or in this process where a test needs many commands."""

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

from delivery.cli.application import application


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Delivery = Callable[..., Outcome]


def started(clone: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "delivery", *arguments]
    environment = os.environ | AUTHOR | {"PYTHONPATH": f"{ROOT}:{ROOT}/apps/llm-api/src"} | variables
    return subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def as_process(clone: Path, **around: str) -> Delivery:
    def run(*arguments: str, **variables: str) -> Outcome:
        process = started(clone, *arguments, **around, **variables)
        out, err = process.communicate(timeout=100)
        return Outcome(process.returncode, out.strip(), err.strip())

    return run


def in_process(clone: Path, monkeypatch: pytest.MonkeyPatch, **around: str) -> Delivery:
    def run(*arguments: str, **variables: str) -> Outcome:
        with monkeypatch.context() as patch:
            patch.chdir(clone)
            done = CliRunner().invoke(application, arguments, env=AUTHOR | around | variables)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(done.exit_code, done.stdout.strip(), done.stderr.strip())

    return run
