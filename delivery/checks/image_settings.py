"""Checks accepted-settings against an image: runs the image to list the settings, commands and flags that it accepts."""

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from delivery.policy.accepted_settings import settings
from delivery.policy.facts import Facts, read_facts
from delivery.policy.finding import Finding
from delivery.policy.invariants import Invariant
from delivery.policy.objects import SERVICE, service_commands
from delivery.policy.overlay import Overlay
from delivery.rendering import render

SETTING = re.compile(r"^([A-Z][A-Z0-9_]+) ", re.MULTILINE)
FLAG = re.compile(r"(?:^\W*(?=--)|\[env var: )(--[a-z][a-z-]*|[A-Z][A-Z0-9_]+)", re.MULTILINE)  # flags, and variables that replace them

Run = Callable[[Sequence[str]], str]
"""Runs llm-api in the image with these arguments and returns its output. Raises CalledProcessError if it fails."""


def read(folder: str, tools: Path, root: Path = Path()) -> Overlay:
    """Renders an overlay, such as overlays/prod. Raises RenderError."""
    kustomize = tools / "kustomize"
    return Overlay(folder.rpartition("/")[2], render(root, folder, kustomize), read_facts(root, kustomize))


def pinned(overlay: Overlay) -> str:
    """The image of the service, as the overlay pins it."""
    return next(str(container["image"]) for _, container, _ in overlay.containers() if container["name"] == SERVICE)


def in_container(command: str, image: str) -> Run:
    """`command`: the command that starts a container, without the image's name, such as `docker run --rm`."""
    return lambda arguments: _output([*shlex.split(command), image, *arguments])


def refused(overlay: Overlay, run: Run) -> list[Finding]:
    """The settings, commands and flags of the overlay that the image does not accept."""
    compared = replace(overlay, facts=of_image(overlay, run))
    return [Finding(overlay.rendered.folder, Invariant.ACCEPTED_SETTINGS, problem) for problem in settings(compared)]


def of_image(overlay: Overlay, run: Run) -> Facts:
    """The facts of this tree, with the settings of the image and the flags of the commands that the overlay calls."""
    known = overlay.facts.settings
    accepted = {name: known.get(name) for name in SETTING.findall(run(["settings"]))}
    called = {command for _, container, _ in overlay.containers() for command, _ in service_commands(container)}
    commands: dict[str, frozenset[str]] = {}
    for command in called:
        with suppress(subprocess.CalledProcessError):  # the image has no such command: the check reports it
            commands[command] = frozenset(FLAG.findall(run([command, "--help"])))
    return replace(overlay.facts, settings=accepted, commands=commands)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603
