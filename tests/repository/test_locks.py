"""The locks are complete, hashed, independent of a registry, and match pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements"
NAMES = ["bootstrap", "build", "delivery", "serve", "proxy", "dev", "cpu", "cpu-dev"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CUDA = re.compile(r"^(triton|nvidia-|cuda-)")


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^ ]+)", (LOCKS / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE))


def asked_for(requirements: list[str]) -> dict[str, str]:
    parsed = [re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)(?: *;.*)?", requirement) for requirement in requirements]
    assert all(parsed), f"not pinned exactly: {requirements}"
    return {match[1].replace("_", "-"): match[2] for match in parsed if match}


RUNTIME = asked_for(PROJECT["project"]["dependencies"])
DELIVERY = asked_for(PROJECT["dependency-groups"]["delivery"])
DEV = RUNTIME | DELIVERY | asked_for([wanted for wanted in PROJECT["dependency-groups"]["dev"] if isinstance(wanted, str)])


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_has_only_pins_with_hashes(name: str) -> None:
    text = re.sub(r"^ *(#.*)?\n", "", (LOCKS / f"{name}.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    entry = r"[\w.-]+==[^ \n]+(?: ; [^\n\\]+)? \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    assert re.fullmatch(f"(?:{entry})+", text), f"make lock would not write this {name}.txt"


@pytest.mark.parametrize("name", NAMES)
def test_no_registry_is_named(name: str) -> None:
    assert "://" not in (LOCKS / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "wanted"), [("delivery", DELIVERY), ("serve", RUNTIME), ("dev", DEV), ("cpu", RUNTIME), ("cpu-dev", DEV)])
def test_a_lock_matches_pyproject(name: str, wanted: dict[str, str]) -> None:
    locked = pins(name) | ({"torch": RUNTIME["torch"]} if name.startswith("cpu") else {})
    stale = {package: version for package, version in wanted.items() if locked.get(package) != version}
    assert not stale, "run `make lock`"


def test_all_locks_agree_on_every_version() -> None:
    dev = pins("dev")
    for name in ("delivery", "serve", "cpu", "cpu-dev"):
        assert pins(name).items() <= dev.items()


def test_the_cpu_locks_omit_only_torch_and_cuda() -> None:
    for full, cpu in (("serve", "cpu"), ("dev", "cpu-dev")):
        left_out = pins(full).keys() - pins(cpu).keys()
        assert "torch" in left_out
        assert left_out == {"torch"} | {package for package in pins(full) if CUDA.match(package)}


def test_build_requirements_are_locked_too() -> None:
    assert asked_for(PROJECT["build-system"]["requires"]).items() <= pins("build").items()
    assert asked_for(PROJECT["dependency-groups"]["build"]).items() <= pins("build").items()
