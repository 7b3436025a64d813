"""An overlay is checked against the settings and flags of the image that it pins, not against those of this tree."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from delivery.checks.image_settings import of_image, pinned, read, refused
from delivery.policy.overlay import Overlay

Run = Callable[[Sequence[str]], str]
ROOT = Path(__file__).parents[2]


def this_tree(arguments: Sequence[str]) -> str:
    """A stub of an image of this tree."""
    return subprocess.run([sys.executable, "-m", "llm_api", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def an_older_one(arguments: Sequence[str]) -> str:
    """A stub of an image without a newer setting and a newer flag."""
    lines = this_tree(arguments).splitlines()
    return "\n".join(line for line in lines if not line.startswith("DRAIN_TIMEOUT ") and "--verify" not in line)


def one_without_pull(arguments: Sequence[str]) -> str:
    if arguments[0] == "pull":
        raise subprocess.CalledProcessError(2, "llm-api")
    return this_tree(arguments)


def test_an_image_of_this_tree_accepts_the_overlay(prod: Overlay) -> None:
    facts = of_image(prod, this_tree)
    assert facts.settings == prod.facts.settings
    assert facts.commands == {name: prod.facts.commands[name] for name in ("serve", "pull", "smoke")}
    assert refused(prod, this_tree) == []


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (an_older_one, ["DRAIN_TIMEOUT", "the service has no such setting"]),
        (an_older_one, ["llm-api pull --verify", "Job/llm-api-model", "the service has no such flag"]),
        (one_without_pull, ["llm-api pull", "the service has no such command", "fix:   one of serve"]),
    ],
)
def test_settings_and_flags_that_the_image_rejects_are_reported(image: Run, expected: list[str], prod: Overlay) -> None:
    found = [str(finding) for finding in refused(prod, image)]
    assert any(all(part in text for part in [*expected, "accepted-settings"]) for text in found), found


def test_the_pinned_image_is_run(tools: Path, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    llm_api = f'{sys.executable} -m llm_api "$@" | grep -v "^KEEP_ALIVE_TIMEOUT"'
    docker.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/asked\nshift\n{llm_api}\n')
    docker.chmod(0o755)
    command = [sys.executable, "-m", "delivery", "image", "overlays/dev", "--tools", str(tools), "--run", str(docker)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    image = pinned(read("overlays/dev", tools, ROOT))
    assert set((tmp_path / "asked").read_text(encoding="utf-8").split()) == {image}
    assert "KEEP_ALIVE_TIMEOUT" in done.stdout
    assert done.stderr == f"1 problem: {image} does not accept what overlays/dev uses\n"
    assert done.returncode == 1
