"""Asks an image what it accepts (invariant 10): `python -m delivery.image overlays/prod --tools FOLDER`.

`--run` is what starts a container, up to the image's name; the image is the one that the overlay pins, or `--image`.
"""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from delivery.facts import read_facts
from delivery.kustomize import render
from delivery.policy.finding import Finding
from delivery.policy.images import calls
from delivery.policy.invariants import invariants
from delivery.policy.overlay import SERVICE, Facts, Overlay
from delivery.policy.schemas import Schemas

SETTING = re.compile(r"^([A-Z][A-Z0-9_]+) ", re.MULTILINE)
FLAG = re.compile(r"(?:^\W*(?=--)|\[env var: )(--[a-z][a-z-]*|[A-Z][A-Z0-9_]+)", re.MULTILINE)  # of a command, and variables for them

Run = Callable[[Sequence[str]], str]
"""Runs llm-api in the image with these arguments, and gives what it prints. Raises CalledProcessError when it fails."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overlay", help="its folder, such as overlays/prod")
    parser.add_argument("--tools", type=Path, required=True, help="the folder that tools/build prints")
    parser.add_argument("--image", help="instead of the one that the overlay pins")
    parser.add_argument("--run", default="docker run --rm --network none", help="podman's, say (default: %(default)s)")
    arguments = parser.parse_args()
    overlay = read(arguments.overlay, arguments.tools)
    image = arguments.image or pinned(overlay)
    told = refused(overlay, lambda asked: _output([*shlex.split(arguments.run), image, *asked]))
    print(*told, sep="\n\n")
    sys.exit(f"{image} refuses {len(told)} of {arguments.overlay}" if told else None)


def read(folder: str, tools: Path, root: Path = Path()) -> Overlay:
    kustomize = tools / "kustomize"
    return Overlay(folder.rpartition("/")[2], render(root, folder, kustomize), read_facts(root, kustomize))


def pinned(overlay: Overlay) -> str:
    return next(str(container["image"]) for _, container, _ in overlay.containers() if container["name"] == SERVICE)


def refused(overlay: Overlay, run: Run) -> list[Finding]:
    """What of the overlay the image does not know."""
    asked = replace(overlay, facts=of_image(overlay, run))
    [rule] = [invariant for invariant in invariants(Schemas(Path(), Path())) if invariant.number == 10]
    return [Finding(overlay.rendered.folder, rule.number, rule.rule, problem) for problem in rule.check(asked)]


def of_image(overlay: Overlay, run: Run) -> Facts:
    """This tree's facts, but with the settings that the image has, and the flags of those commands that the overlay calls."""
    known = overlay.facts.settings
    settings = {name: known.get(name) for name in SETTING.findall(run(["settings"]))}
    called = {command for _, container, _ in overlay.containers() for command, _ in calls(container)}
    commands: dict[str, frozenset[str]] = {}
    for command in called:
        with suppress(subprocess.CalledProcessError):  # it has no such command: then that is what is found
            commands[command] = frozenset(FLAG.findall(run([command, "--help"])))
    return replace(overlay.facts, settings=settings, commands=commands)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    main()
